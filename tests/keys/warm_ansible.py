# An Ansible that is imported once and forks a run for each tree it is told of. Owns: which paths a run touches. Must not know what counts.
# The machine that is built is pretended: modules answer "changed", files are read as a transfer reads them. Everything that reads this
# machine (loading, searching, templating, look-ups, includes) is Ansible's own code. Invariant: a tree's run sees nothing of another's.
"""Reads requests, one JSON a line: {root, argv, env, touched, said}; answers each with {"code": N}."""

import json
import os
import resource
import sys

# Seconds of a processor that no run comes near, and of a clock: on a machine that is busy a run waits most of its time.
MOST_WORK = 60
PATIENCE = 1200


def remember(root, touched):
    """Writes each path below root that this process or a child of it opens, lists or asks for."""
    inside = root + os.sep
    log = os.open(touched, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)

    def note(how, path):
        if isinstance(path, (bytes, os.PathLike)):
            path = os.fsdecode(path)
        if not isinstance(path, str):
            return
        path = os.path.normpath(os.path.join(cwd(), path))
        if path.startswith(inside):
            os.write(log, f"{how} {path}\0".encode(errors="surrogateescape"))

    def cwd():
        try:
            return os.getcwd()
        except OSError:
            return root

    def hook(event, args):
        if event == "open" and args and not isinstance(args[0], int):
            written = isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
            note("s" if written else "r", args[0])
        elif event in ("os.listdir", "os.scandir"):
            note("l", args[0])

    # stat and its like have no audit event.
    for name in ("stat", "lstat", "access", "readlink"):
        real = getattr(os, name)

        def asked(path, *args, _real=real, **kwargs):
            note("s", path)
            return _real(path, *args, **kwargs)

        setattr(os, name, asked)
    sys.addaudithook(hook)


def pretend():
    """No machine: what would be sent is read, what would be asked is answered."""
    from ansible.plugins.action import ActionBase

    def execute_module(self, module_name=None, module_args=None, **kwargs):
        return {"changed": True, "stat": {"exists": False}, "checksum": "1", "rc": 0, "stdout": "", "ansible_facts": {}}

    def transfer_file(self, local_path, remote_path):
        with open(local_path, "rb") as file:
            file.read()
        return remote_path

    ActionBase._execute_module = execute_module
    ActionBase._transfer_file = transfer_file
    ActionBase._low_level_execute_command = lambda self, *a, **k: {"rc": 0, "stdout": "/", "stdout_lines": ["/"], "stderr": "", "stderr_lines": []}
    ActionBase._make_tmp_path = lambda self, remote_user=None: setattr(self._connection._shell, "tmpdir", "/pretended") or "/pretended"
    ActionBase._fixup_perms2 = lambda self, remote_paths, remote_user=None, execute=True: remote_paths
    ActionBase._remove_tmp_path = lambda self, tmp_path, force=False: None
    ActionBase._execute_remote_stat = lambda self, *a, **k: {"exists": False, "checksum": "1"}


def run(request):
    """One run, in a process of its own."""
    said = os.open(request["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["root"])
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_WORK, MOST_WORK))
    from ansible.cli.playbook import PlaybookCLI

    remember(request["root"], request["touched"])
    try:
        cli = PlaybookCLI(request["argv"])
        cli.parse()
        return cli.run()
    except Exception as error:  # what ansible-playbook itself would print
        print(f"{type(error).__name__}: {error}", flush=True)
        return 99


def wait(child):
    """Its exit code; a run that does not end is ended."""
    import signal

    signal.alarm(PATIENCE)
    try:
        _, status = os.waitpid(child, 0)
    except TimeoutError:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return -1
    finally:
        signal.alarm(0)
    return os.waitstatus_to_exitcode(status)


def main():
    import signal

    def too_long(*_):
        raise TimeoutError

    # What a run imports is imported before the first one; Ansible reads its configuration here, from the environment.
    import ansible.cli.playbook
    import ansible.executor.playbook_executor
    import ansible.plugins.strategy.linear
    import ansible.plugins.callback.default
    import ansible.plugins.connection.local
    import ansible.plugins.inventory.ini
    import ansible.plugins.action.copy
    import ansible.plugins.action.template
    import ansible.plugins.action.include_vars

    pretend()
    signal.signal(signal.SIGALRM, too_long)
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            code = 98
            try:
                code = run(json.loads(line))
            finally:
                sys.stdout.flush()
                os._exit(code if isinstance(code, int) else 97)
        print(json.dumps({"code": wait(child)}), flush=True)


main()
