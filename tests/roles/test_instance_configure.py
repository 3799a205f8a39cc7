# Proves the program that fills templates at boot (role cloud_init), in folders that stand for a machine.
# Must not need root, Ansible or Docker. Run: python3 -m unittest discover tests/roles
"""Templates filled from an environment."""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[2] / "ansible/roles/cloud_init/files/instance_configure.py"
USER = pwd.getpwuid(os.geteuid()).pw_name
GROUP = grp.getgrgid(os.getegid()).gr_name


class Machine(unittest.TestCase):
    """A machine below a temporary folder."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        for path in ("etc/instance/templates.d", "etc/app", "var/lib"):
            (self.root / path).mkdir(parents=True)

    def file(self, path):
        return self.root / path

    def environment(self, text):
        self.file("etc/instance/environment").write_text(text, encoding="utf-8")

    def template(self, name, body, header=None):
        header = header or f"# instance-configure: /etc/app/{name} {USER}:{GROUP} 0640"
        self.file(f"etc/instance/templates.d/{name}").write_text(f"{header}\n{body}", encoding="utf-8")

    def run_it(self, *arguments, code=0):
        done = subprocess.run([sys.executable, PROGRAM, "--root", self.root, *arguments], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, code, done.stderr + done.stdout)
        return done.stdout + done.stderr

    def filled(self, body, environment):
        self.environment(environment)
        self.template("one", body)
        self.run_it()
        return self.file("etc/app/one").read_text(encoding="utf-8")


class Filling(Machine):
    def test_values_defaults_and_alternatives(self):
        table = [
            ("a = ${A}", "a = 1"),
            ("${B:-two}${NONE:-two}", "22two"),
            ("${EMPTY:-instead}", "instead"),
            ("${EMPTY:+never}${NONE:+never}${A:+always}", "always"),
            ("${A:+A=${A}}", "A=1"),
            ("${NONE:-${EMPTY:-${A}}}", "1"),
            ("${NONE:-{{ GetPrivateIP }}}", "{{ GetPrivateIP }}"),
            ("${NONE:-}", ""),
            ("$A $ ${A}$", "$A $ 1$"),
            ("$${A} $${", "${A} ${"),
            ("${NONE:-a\nb}", "a\nb"),
            ("${LIST}", '["provider=aws tag_key=a", "b"]'),
        ]
        for body, wanted in table:
            with self.subTest(body):
                environment = 'A=1\nB=22\nEMPTY=\nLIST=["provider=aws tag_key=a", "b"]\n'
                self.assertEqual(self.filled(body, environment), wanted)

    def test_a_value_is_taken_as_it_is_and_never_expanded(self):
        self.assertEqual(self.filled("${A}", "# a comment\n\nA= ${B} 'x' \"y\" = #z \r\n"), " ${B} 'x' \"y\" = #z ")

    def test_rights_are_those_of_the_header_and_the_environment_is_closed(self):
        self.environment("A=1\n")
        self.file("etc/instance/environment").chmod(0o644)
        self.template("one", "${A}")
        self.run_it()
        self.assertEqual(self.file("etc/app/one").stat().st_mode & 0o777, 0o640)
        self.assertEqual(self.file("etc/instance/environment").stat().st_mode & 0o777, 0o600)

    def test_success_is_marked_for_others_to_read(self):
        self.filled("${A}", "A=1\n")
        marker = self.file("run/instance/configured")
        self.assertEqual(marker.read_text(encoding="utf-8"), "/etc/app/one\n")
        self.assertEqual(marker.stat().st_mode & 0o777, 0o644)
        self.assertEqual(marker.parent.stat().st_mode & 0o777, 0o755)

    def test_a_second_run_fills_with_the_new_values(self):
        self.assertEqual(self.filled("${A}", "A=1\n"), "1")
        self.assertEqual(self.filled("${A}", "A=2\n"), "2")
        self.assertEqual(sorted(path.name for path in self.file("etc/app").iterdir()), ["one"])


class Refusing(Machine):
    """Whatever is wrong: nothing is written, and what was there before stands."""

    def refused(self, *wanted):
        said = self.run_it(code=1)
        for line in wanted:
            self.assertIn(line, said)
        self.assertIn("nothing was written", said)
        self.assertFalse(self.file("run/instance/configured").exists())
        failed = self.file("run/instance/failed").read_text(encoding="utf-8")
        for line in wanted:
            self.assertIn(line, failed)
        return said + failed

    def test_a_missing_key_names_template_line_and_key_and_nothing_is_written(self):
        self.template("fine", "${A}")
        self.template("two", "first\n${NONE}\n\n${EMPTY}\n${NONE:+${A}}${OTHER:-\n${DEEP}}")
        self.environment("A=1\nEMPTY=\n")
        self.refused("template `two` line 3: key `NONE` is not set", "template `two` line 5: key `EMPTY` is empty", "template `two` line 7: key `DEEP` is not set")
        self.assertEqual(list(self.file("etc/app").iterdir()), [])

    def test_what_was_filled_before_stands(self):
        self.filled("${A}", "A=1\n")
        self.environment("B=2\n")
        self.refused("key `A` is not set")
        self.assertEqual(self.file("etc/app/one").read_text(encoding="utf-8"), "1")

    def test_values_are_never_printed(self):
        secret = "correct-horse-battery"
        self.template("one", "${NONE}")
        for environment in (f"A={secret}\n", f"{secret}\n", f"a={secret}\n", f"A={secret}\nA={secret}\n"):
            with self.subTest(environment):
                self.environment(environment)
                self.assertNotIn(secret, self.refused())

    def test_lines_that_are_no_setting(self):
        self.environment("A=1\nlower=1\nnothing\nA=2\n")
        self.refused("environment line 2: wanted `KEY=value`", "environment line 3: wanted `KEY=value`", "environment line 4: key `A` is set twice")

    def test_templates_that_are_none(self):
        table = [
            ("no header", "${A}", "some text", "template `no header` line 1: wanted `# instance-configure:"),
            ("relative", "${A}", f"# instance-configure: etc/x {USER}:{GROUP} 0640", "line 1: wanted"),
            ("nobody", "${A}", f"# instance-configure: /etc/app/x no-such-user:{GROUP} 0640", "there is no user `no-such-user`"),
            ("folder", "${A}", f"# instance-configure: /etc/none/x {USER}:{GROUP} 0640", "the folder of /etc/none/x is not there"),
            ("open", "\n${A", None, "template `open` line 3: wanted `${KEY}`"),
            ("form", "${A-b}", None, "template `form` line 2: wanted `${KEY}`"),
            ("lower", "${a}", None, "template `lower` line 2: wanted `${KEY}`"),
        ]
        for name, body, header, wanted in table:
            with self.subTest(name):
                self.environment("A=1\n")
                self.template(name, body, header)
                self.refused(wanted)
                self.file(f"etc/instance/templates.d/{name}").unlink()

    def test_two_templates_for_one_file(self):
        self.environment("A=1\n")
        self.template("one", "${A}")
        self.template("two", "${A}", f"# instance-configure: /etc/app/one {USER}:{GROUP} 0640")
        self.refused("template `two`: `one` goes to /etc/app/one too")

    def test_a_destination_that_cannot_be_replaced_brings_the_others_back(self):
        self.template("a", "old ${A}")
        self.environment("A=1\n")
        self.run_it()
        self.template("a", "new ${A}")
        self.template("b", "${A}")
        self.file("etc/app/b/full").mkdir(parents=True)
        self.refused("what was there before stands")
        self.assertEqual(self.file("etc/app/a").read_text(encoding="utf-8"), "old 1")
        self.assertEqual(sorted(path.name for path in self.file("etc/app").iterdir()), ["a", "b"])


class Other(Machine):
    def test_without_an_environment_nothing_changes_and_nothing_is_marked(self):
        self.filled("${A}", "A=1\n")
        self.file("etc/instance/environment").unlink()
        self.assertIn("no environment", self.run_it())
        self.assertEqual(self.file("etc/app/one").read_text(encoding="utf-8"), "1")
        self.assertFalse(self.file("run/instance/configured").exists())

    def test_forgetting_removes_the_environment_and_all_that_was_filled(self):
        self.file("etc/app/other").write_text("of somebody else", encoding="utf-8")
        self.filled("${A}", "A=1\n")
        self.run_it("forget")
        self.assertEqual([path.name for path in self.file("etc/app").iterdir()], ["other"])
        self.assertFalse(self.file("etc/instance/environment").exists())
        self.assertTrue(self.file("etc/instance/templates.d/one").exists())
        self.assertIn("nothing to forget", self.run_it("forget"))

    def test_a_template_is_checked_without_an_environment(self):
        self.template("good", "${A} ${B:-${C}}")
        self.run_it("check", self.file("etc/instance/templates.d/good"))
        self.template("bad", "${A:-${b}}")
        self.assertIn("line 2", self.run_it("check", self.file("etc/instance/templates.d/bad"), code=1))

    def test_the_templates_of_our_roles_are_templates(self):
        found = [path for path in PROGRAM.parents[2].glob("*/files/*") if path.is_file() and path.read_bytes().startswith(b"# instance-configure:")]
        self.assertGreaterEqual(len(found), 3)
        for path in found:
            with self.subTest(path.name):
                self.run_it("check", path)


if __name__ == "__main__":
    unittest.main()
