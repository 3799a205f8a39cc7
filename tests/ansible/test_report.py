# Proves the report callback against the ansible-playbook that is on PATH, on localhost and without becoming anybody.
# Must not need Docker or the network. Run: python3 -m unittest discover tests/ansible
"""The report of a playbook run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PLUGINS = Path(__file__).resolve().parents[2] / "src/run/assets/callback_plugins"
SECRET = "correct-horse-battery"


HERE = f"box ansible_connection=local ansible_python_interpreter={sys.executable}\n"


def play(playbook, inventory=HERE, **env):
    """Run a playbook text; gives back exit code, stdout and the report's lines as objects."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "play.yml").write_text(playbook, encoding="utf-8")
        (root / "hosts").write_text(inventory, encoding="utf-8")
        (root / "roles/r/tasks").mkdir(parents=True)
        (root / "roles/r/tasks/main.yml").write_text("- name: In the role\n  ansible.builtin.debug:\n", encoding="utf-8")
        # Not /dev/null: ansible-core wants a name that ends in .cfg.
        (root / "ansible.cfg").write_text("", encoding="utf-8")
        report = root / "report"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        environment |= {
            "ANSIBLE_CALLBACK_PLUGINS": str(PLUGINS), "ANSIBLE_HOME": str(root / "home"), "ANSIBLE_CONFIG": str(root / "ansible.cfg"),
            "OVENBIRD_REPORT": str(report), "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8",
        }  # fmt: skip
        environment |= env
        done = subprocess.run(
            ["ansible-playbook", "-i", "hosts", "play.yml"],
            cwd=root, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        text = report.read_text(encoding="utf-8") if report.exists() else None
        mode = report.stat().st_mode & 0o777 if text is not None else None
    lines = None if text is None else [json.loads(line) for line in text.splitlines()]
    return done, lines, text, mode


def results(lines):
    return {line["task"]: line for line in lines if line["event"] == "result"}


TASKS = f"""
- name: All kinds
  hosts: all
  gather_facts: true
  gather_subset: [min]
  tags: [whole]
  roles: [r]
  tasks:
    - name: 変わらない
      ansible.builtin.debug: {{msg: "{SECRET}"}}
      tags: [molecule-idempotence-notest]
    - name: changes
      ansible.builtin.command: echo {SECRET}
      notify: told
    - name: skipped
      ansible.builtin.debug:
      when: false
    - name: hidden
      ansible.builtin.fail: {{msg: "{SECRET}"}}
      no_log: true
      ignore_errors: true
    - name: hidden loop
      ansible.builtin.fail: {{msg: "{SECRET} {{{{ item }}}}"}}
      loop: ["{SECRET}"]
      no_log: true
      ignore_errors: true
    - ansible.builtin.meta: flush_handlers
    - name: fails
      ansible.builtin.fail: {{msg: for a reason}}
  handlers:
    - name: told
      ansible.builtin.debug:
"""


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.done, cls.lines, cls.text, cls.mode = play(TASKS)
        cls.by_task = results(cls.lines)

    def test_every_task_has_one_result_with_its_status(self):
        status = {name: line["status"] for name, line in self.by_task.items()}
        self.assertEqual(
            status,
            {
                "Gathering Facts": "ok", "r : In the role": "ok", "変わらない": "ok", "changes": "changed", "skipped": "skipped",
                "hidden": "ignored", "hidden loop": "ignored", "told": "ok", "fails": "failed",
            },
        )  # fmt: skip
        # `meta` begins and has no result.
        begun = [line["task"] for line in self.lines if line["event"] == "task" and line["action"] != "ansible.builtin.meta"]
        self.assertEqual(begun, [line["task"] for line in self.lines if line["event"] == "result"])

    def test_only_a_failure_has_a_message_and_no_log_hides_it(self):
        self.assertEqual(self.by_task["fails"]["msg"], "for a reason")
        self.assertIsNone(self.by_task["hidden"]["msg"])
        self.assertIsNone(self.by_task["hidden loop"]["msg"])
        self.assertNotIn("msg", self.by_task["changes"])

    def test_arguments_and_results_of_modules_are_never_written(self):
        self.assertIn(SECRET, TASKS)
        self.assertNotIn(SECRET, self.text)

    def test_only_the_owner_can_read_it(self):
        self.assertEqual(self.mode, 0o600)

    def test_where_a_task_stands_and_what_it_is(self):
        role = self.by_task["r : In the role"]
        self.assertEqual((role["role"], role["handler"], role["implicit"]), ("r", False, False))
        self.assertTrue(role["path"].endswith("roles/r/tasks/main.yml:1"), role["path"])
        self.assertTrue(self.by_task["told"]["handler"])
        self.assertTrue(self.by_task["Gathering Facts"]["implicit"])
        self.assertEqual(self.by_task["変わらない"]["tags"], ["molecule-idempotence-notest", "whole"])

    def test_it_begins_with_versions_and_ends_with_the_counts(self):
        self.assertEqual(self.lines[0]["event"], "start")
        self.assertEqual(self.lines[0]["format"], 1)
        self.assertRegex(self.lines[0]["ansible"], r"^2\.\d+")
        self.assertEqual(self.lines[-1]["event"], "stats")
        counts = self.lines[-1]["hosts"]["box"]
        self.assertEqual((counts["failed"], counts["changed"], counts["skipped"], counts["ignored"]), (1, 1, 1, 2))


class Empty(unittest.TestCase):
    def test_a_play_that_matches_no_host_says_so(self):
        done, lines, _, _ = play("- hosts: nowhere\n  tasks:\n    - ansible.builtin.debug:\n")
        self.assertEqual(done.returncode, 0)
        self.assertEqual([line["event"] for line in lines], ["start", "play", "no_hosts", "stats"])
        self.assertEqual(lines[1]["hosts"], ["nowhere"])
        self.assertEqual(lines[-1]["hosts"], {})

    def test_a_play_that_only_gathers_facts_has_no_result_of_its_own(self):
        _, lines, _, _ = play("- hosts: all\n  gather_subset: [min]\n  tasks: []\n")
        self.assertEqual([line["implicit"] for line in lines if line["event"] == "result"], [True])

    def test_facts_that_a_playbook_gathers_itself_count(self):
        _, lines, _, _ = play("- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.setup: {gather_subset: [min]}\n")
        self.assertEqual([line["implicit"] for line in lines if line["event"] == "result"], [False])

    def test_without_the_variable_nothing_is_written_and_nothing_fails(self):
        done, lines, _, _ = play("- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug:\n", OVENBIRD_REPORT="")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIsNone(lines)

    def test_named_and_found_it_still_reports_once(self):
        _, lines, _, _ = play(
            "- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug:\n",
            ANSIBLE_CALLBACKS_ENABLED="ovenbird_callback",
        )
        self.assertEqual([line["event"] for line in lines], ["start", "play", "task", "result", "stats"])

    def test_a_syntax_error_leaves_no_counts(self):
        done, lines, _, _ = play("- hosts: all\n  tasks:\n    - nosuchmodule:\n")
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn("stats", [line["event"] for line in lines or []])


class Unreachable(unittest.TestCase):
    def test_a_host_that_cannot_be_reached_is_a_result(self):
        done, lines, _, _ = play(
            "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: try\n      ansible.builtin.ping:\n",
            "box ansible_host=127.0.0.1 ansible_port=1 ansible_ssh_timeout=2\n",
        )
        self.assertNotEqual(done.returncode, 0)
        line = results(lines)["try"]
        self.assertEqual(line["status"], "unreachable")
        self.assertTrue(line["msg"])


if __name__ == "__main__":
    unittest.main()
