# What a run of Ansible opens, written down by Python itself: an audit hook in every Python process that a stage starts.
# Owns the format of the record; `tools/opened.rs` reads it. Must not change what the process does, must not judge a path (that is
# ovenbird's), and must not hide a sitecustomize of the user's Python: it is run afterwards.
# Invariant: a path is in the record before it is opened. Nothing waits for the end of a process, because Ansible's workers end by
# os._exit or a signal; and a record that cannot be written stops the opening, not the recording.
#
# One line a path: nanoseconds of the monotonic clock, what is done with it, its bytes (`\\` and `\n` escaped):
#   python PREFIX   a process began; its Python's folder      read PATH   opened and may be read      list PATH   folder listed
#   write PATH      made anew: what stood there is gone       run PATH    started as a process        name PATH   argument of one
#
# Modules on this machine may run under an old Python: the syntax is that of 2.7, where there is no hook and nothing is recorded.
import os
import sys

# Their arguments speak of the other machine; what they send from here was opened by Ansible first.
_REMOTE = ("docker", "podman", "ssh", "scp", "sftp", "sshpass")
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh")


def _install(record):
    import time

    seen = set()
    slash = os.sep
    # The tools themselves: Python, Ansible, what pip installed. Their versions are notes, their files are no inputs. Collections
    # that pip installed are told, so that theirs can be noted too.
    site = sys.modules.get("site")
    folders = [os.path.dirname(os.__file__)] + (site.getsitepackages() if hasattr(site, "getsitepackages") else [])
    tools = tuple(folder.rstrip(slash) + slash for folder in folders if folder)
    new, writes, both = os.O_TRUNC | os.O_EXCL, os.O_WRONLY, os.O_RDWR

    def write(what, path):
        if isinstance(path, str):
            path = os.fsencode(path)
        path = path.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
        line = b"%d %s %s\n" % (time.monotonic_ns(), what, path)
        # Opened each time: a descriptor that is kept would be closed by somebody who closes all of them, and its number then
        # be another file's.
        try:
            file = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            return  # The run has ended and this process has not.
        try:
            os.write(file, line)
        finally:
            os.close(file)

    def note(what, path, folder=None):
        if isinstance(path, int):
            # Of a folder that is open already. Without /proc it has no name; it was opened under one.
            if what != b"list" or not os.path.islink("/proc/self/fd/%d" % path):
                return
            path = os.readlink("/proc/self/fd/%d" % path)
        elif not isinstance(path, (str, bytes)):
            path = os.fspath(path)
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not path.startswith(slash):
            path = os.path.join(folder or os.getcwd(), path)
        if (what, path) in seen or ((path + slash).startswith(tools) and "/ansible_collections/" not in path):
            return
        seen.add((what, path))
        write(what, path)

    def opened(args):
        path, _, flags = args
        if path == record:
            return
        flags = flags or 0
        if flags & new and flags & (writes | both):
            note(b"write", path)
        elif not flags & writes:
            note(b"read", path)

    def listed(args):
        note(b"list", "." if args[0] is None else args[0])

    def started(program, arguments, folder=None):
        program = os.fsdecode(program) if program else ""
        folder = os.path.join(os.getcwd(), os.fsdecode(folder)) if folder else os.getcwd()
        if slash in program:
            note(b"run", program, folder)
        if isinstance(arguments, (str, bytes)) or os.path.basename(program) in _REMOTE:
            return
        words = [os.fsdecode(word) for word in list(arguments or ())[1:] if isinstance(word, (str, bytes))]
        if os.path.basename(program) in _SHELLS and words[:1] == ["-c"]:
            words = split(words[1]) + words[2:] if words[1:] else []
        for argument in words:
            # Of folders only those that are written as a path: a word is a word more often than the name of one.
            path = os.path.join(folder, argument)
            if os.path.isfile(path) or (slash in argument.strip(slash) and os.path.isdir(path)):
                note(b"name", path)

    def split(command):
        import shlex

        try:
            return shlex.split(command)
        except ValueError:
            return command.split()

    def imported(args):
        # Extension modules are opened by the dynamic linker.
        if args[1]:
            note(b"read", args[1])

    handlers = {
        "open": opened,
        "os.listdir": listed,
        "os.scandir": listed,
        "import": imported,
        "subprocess.Popen": lambda args: started(args[0], args[1], args[2]),
        "os.exec": lambda args: started(args[0], args[1]),
        "os.posix_spawn": lambda args: started(args[0], args[1]),
        "ctypes.dlopen": lambda args: note(b"read", args[0]) if args[0] and slash in str(args[0]) else None,
        "sqlite3.connect": lambda args: note(b"read", args[0]) if args[0] not in (":memory:", "", b":memory:") else None,
    }
    find = handlers.get

    def hook(event, args):
        handle = find(event)
        if handle is not None:
            try:
                handle(args)
            except (TypeError, ValueError):
                pass  # Arguments that the call itself will refuse, in its own words.

    write(b"python", sys.prefix)
    sys.addaudithook(hook)
    # For the callback plugin, which says in its report that the run was watched.
    sys._ovenbird_guard = record


def _next(folder):
    """Run the sitecustomize that this one stands before."""
    import importlib.machinery
    import importlib.util

    sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry or ".") != folder]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


if hasattr(sys, "addaudithook") and os.environ.get("OVENBIRD_OPENED"):
    _install(os.environ["OVENBIRD_OPENED"])
if sys.version_info >= (3, 4):
    _next(os.path.realpath(os.path.dirname(__file__)))
