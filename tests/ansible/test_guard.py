# Proves the audit hook that a stage's Pythons run under: what is opened is written down, by whom and however the process ends.
# Must not judge paths (that is Rust's) and must not need Docker or the network. Run: python3 -m unittest discover tests/ansible
"""The record of opened files."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from test_report import play

GUARD = Path(__file__).resolve().parents[2] / "src/run/assets/guard"


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = Path(self.folder.name).resolve()
        self.record = self.root / "record"
        self.record.touch()
        (self.root / "a.txt").write_text("a", encoding="utf-8")
        (self.root / "data").mkdir()

    def lines(self):
        """(what, path) below the folder, in order, without the start of processes."""
        lines = [line.split(b" ", 2)[1:] for line in self.record.read_bytes().splitlines()]
        for line in self.record.read_bytes().splitlines():
            self.assertRegex(line, rb"^\d+ [a-z]+ ")
        home = os.fsencode(self.root) + b"/"
        return [(what.decode(), os.fsdecode(path[len(home) :])) for what, path in lines if path.startswith(home)]

    def python(self, code, *flags, executable=sys.executable, code_expected=0, **env):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment |= {"PYTHONPATH": str(GUARD), "OVENBIRD_OPENED": str(self.record), "PYTHONDONTWRITEBYTECODE": "1"} | env
        done = subprocess.run(
            [executable, *flags, "-c", code], cwd=self.root, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        self.assertEqual(done.returncode, code_expected, done.stderr)
        return done.stdout


class Record(Folder):
    def test_a_path_is_written_once_absolute_and_before_it_is_opened(self):
        self.python("import os; open('a.txt'); open('a.txt'); os.chdir('data'); open('../a.txt')\ntry: open('none')\nexcept OSError: pass")
        self.assertEqual(self.lines(), [("read", "a.txt"), ("read", "data/../a.txt"), ("read", "data/none")])

    def test_every_way_of_opening_is_seen(self):
        self.python(
            "import os, pathlib, io, sqlite3, glob\n"
            "os.open('1', os.O_RDONLY | os.O_CREAT)\npathlib.Path('2').touch(); pathlib.Path('2').read_text()\n"
            "open(b'3', 'a+'); open('4', 'w'); open('4'); open('5', 'a'); os.listdir('data'); list(os.scandir(os.getcwd()))\n"
            "glob.glob('data/*/x'); sqlite3.connect('6').close(); os.listdir(os.open('data', os.O_RDONLY))"
        )
        lines = self.lines()
        want = {("read", "1"), ("read", "2"), ("read", "3"), ("write", "4"), ("read", "4"), ("list", "data"), ("read", "6")}
        self.assertLessEqual(want, set(lines))
        self.assertNotIn("5", [path for _, path in lines], "what is only added to was not read")
        self.assertLess(lines.index(("write", "4")), lines.index(("read", "4")))

    def test_a_module_is_seen_by_its_source_and_by_its_bytecode(self):
        (self.root / "mine.py").write_text("x = 1\n", encoding="utf-8")
        self.python("import mine", PYTHONDONTWRITEBYTECODE="")
        self.python("import mine")
        paths = [path for _, path in self.lines()]
        self.assertIn("mine.py", paths)
        self.assertTrue(any(path.startswith("__pycache__/mine.") for path in paths), paths)

    def test_a_name_of_any_bytes_is_kept(self):
        self.python(r"open(b'a\n\\b\xff', 'w').close(); open(b'a\n\\b\xff')")
        self.assertIn(("read", os.fsdecode(rb"a\n\\b" + b"\xff")), self.lines())

    def test_what_processes_are_given_is_seen_but_not_what_speaks_of_another_machine(self):
        (self.root / "data/x").touch()
        self.python(
            "import subprocess\nfor command in (['cat', 'a.txt'], ['sh', '-c', 'cat \"data/x\" | cat']): subprocess.run(command, check=True)\n"
            "subprocess.run(['ls', 'data'], check=True)\n"
            "try: subprocess.run(['docker-not-there/docker', 'exec', 'a.txt'])\nexcept OSError: pass\n"
            "subprocess.run(['cat', 'x'], cwd='data', check=True)"
        )
        lines = [line for line in self.lines() if line[0] in ("name", "run")]
        self.assertEqual(lines, [("name", "a.txt"), ("name", "data/x"), ("run", "docker-not-there/docker")])

    def test_a_process_that_is_killed_or_leaves_at_once_loses_nothing(self):
        self.python("import os\nif os.fork() == 0:\n    open('a.txt')\n    os._exit(0)\nos.wait()")
        self.python("import os, signal\nopen('data/y', 'a+')\nos.kill(os.getpid(), signal.SIGKILL)", code_expected=-9)
        self.assertEqual(self.lines(), [("read", "a.txt"), ("read", "data/y")])

    def test_children_are_watched_and_descriptors_that_somebody_closes_do_no_harm(self):
        self.python(
            "import os, subprocess, sys\nos.closerange(3, 200)\nkept = os.open('own', os.O_WRONLY | os.O_CREAT)\nopen('a.txt')\n"
            "subprocess.run([sys.executable, '-c', 'open(\"data/z\", \"a+\")'], check=True)\nos.write(kept, b'x')"
        )
        self.assertEqual((self.root / "own").read_text(encoding="utf-8"), "x")
        self.assertLessEqual({("read", "a.txt"), ("read", "data/z")}, set(self.lines()))

    def test_a_record_that_cannot_be_written_stops_the_opening(self):
        out = self.python("import sys; print(hasattr(sys, '_ovenbird_guard'))", OVENBIRD_OPENED=str(self.root / "data"))
        self.assertEqual(out, "False\n", "a record that cannot be begun is no guard, and it says so")
        out = self.python(
            "import os, shutil\nos.remove(os.environ['OVENBIRD_OPENED']); os.mkdir(os.environ['OVENBIRD_OPENED'])\n"
            "try: open('a.txt')\nexcept OSError: print('stopped')"
        )
        self.assertEqual(out, "stopped\n")


class Chain(Folder):
    SITE = "import sys\nprint('mine', 'sitecustomize' in sys.modules and sys.modules['sitecustomize'].__file__)\nopen('a.txt')\n"

    def test_a_sitecustomize_of_the_users_path_runs_and_is_watched(self):
        (self.root / "data/sitecustomize.py").write_text(self.SITE, encoding="utf-8")
        out = self.python("import sitecustomize; print(sitecustomize.__file__)", PYTHONPATH=f"{GUARD}:{self.root / 'data'}")
        mine = str(self.root / "data/sitecustomize.py")
        self.assertEqual(out.splitlines(), [f"mine {mine}", mine])
        self.assertIn(("read", "a.txt"), self.lines())

    def test_a_sitecustomize_of_a_venv_runs(self):
        venv = self.root / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True, timeout=120)
        site = next(venv.glob("lib/python*/site-packages"))
        (site / "sitecustomize.py").write_text(self.SITE, encoding="utf-8")
        out = self.python("print('end')", executable=str(venv / "bin/python"))
        self.assertEqual([line.split()[0] for line in out.splitlines()], ["mine", "end"])
        self.assertIn(("python", "venv"), self.lines())
        self.assertNotIn("site-packages", "".join(path for _, path in self.lines()), "a tool's files are no inputs")

    def test_our_folder_is_not_on_the_path_and_without_a_record_nothing_happens(self):
        out = self.python("import sys; print(any('assets/guard' in p for p in sys.path), hasattr(sys, '_ovenbird_guard'))", OVENBIRD_OPENED="")
        self.assertEqual((out, self.lines()), ("False False\n", []))

    def test_the_developers_shell_does_not_keep_it_out(self):
        for name, value in {"PYTHONSAFEPATH": "1", "PYTHONNOUSERSITE": "1", "PYTHONSTARTUP": "/nowhere", "PYTHONOPTIMIZE": "2"}.items():
            with self.subTest(name):
                self.record.write_bytes(b"")
                self.python("open('a.txt')", **{name: value})
                self.assertIn(("read", "a.txt"), self.lines())

    def test_a_python_that_reads_no_environment_is_not_watched_and_does_not_claim_to_be(self):
        out = self.python("import sys; open('a.txt'); print(hasattr(sys, '_ovenbird_guard'))", "-I")
        self.assertEqual((out, self.lines()), ("False\n", []))


PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - name: By the controller
      ansible.builtin.debug: {msg: "{{ lookup('file', 'one.txt') }}"}
    - name: By a worker and Jinja
      ansible.builtin.copy: {content: "{% include 'two.j2' %}", dest: "{{ playbook_dir }}/made"}
    - name: By a module on this machine
      ansible.builtin.slurp: {src: "{{ playbook_dir }}/three.txt"}
    - name: Through a command
      ansible.builtin.command: cat four.txt
      args: {chdir: "{{ playbook_dir }}"}
"""


class WithAnsible(Folder):
    def run_play(self, **env):
        for name in ("one.txt", "two.j2", "three.txt", "four.txt"):
            (self.root / name).write_text(name, encoding="utf-8")
        env = {"PYTHONPATH": str(GUARD), "OVENBIRD_OPENED": str(self.record)} | env
        # The play stands in a folder of its own; what it reads is here.
        text = PLAY.replace("{{ playbook_dir }}", str(self.root)).replace("'one.txt'", f"'{self.root}/one.txt'")
        text = text.replace("{% include 'two.j2' %}", f"{{{{ lookup('template', '{self.root}/two.j2') }}}}")
        done, lines, _, _ = play(text, **env)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return lines

    def test_workers_and_local_modules_are_watched_and_the_task_is_known_by_its_time(self):
        report = self.run_play()
        self.assertTrue(report[0]["guard"])
        self.assertRegex(report[0]["jinja"], r"^\d+\.\d+")
        begun = [(line["at"], line["task"]) for line in report if line["event"] == "task"]
        self.assertEqual(begun, sorted(begun))
        first = {}
        home = os.fsencode(self.root) + b"/"
        for line in self.record.read_bytes().splitlines():
            at, what, path = line.split(b" ", 2)
            if path.startswith(home) and what in (b"read", b"name"):
                first.setdefault(path[len(home) :].decode(), int(at))
        by = {name: [task for at, task in begun if at <= opened][-1] for name, opened in first.items() if name.endswith((".txt", ".j2"))}
        want = {
            "one.txt": "By the controller", "two.j2": "By a worker and Jinja",
            "three.txt": "By a module on this machine", "four.txt": "Through a command",
        }  # fmt: skip
        self.assertEqual(by, want)

    def test_a_run_that_is_not_watched_says_so(self):
        for env in ({"PYTHONPATH": ""}, {"OVENBIRD_OPENED": ""}):
            self.assertFalse(self.run_play(**env)[0]["guard"])


if __name__ == "__main__":
    unittest.main()
