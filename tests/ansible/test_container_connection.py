# Proves the container connection against a real container of the base image: what arrives is what was sent.
# Must not pass when Docker or the image is absent. Removes its container by id. Run: python3 -m unittest discover tests/ansible
"""Ansible in a container by docker exec."""

from __future__ import annotations

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

PLUGINS = Path(__file__).resolve().parents[2] / "src/run/assets/connection_plugins"
IMAGE = os.environ.get("OVENBIRD_BASE_IMAGE", "ovenbird-base/debian:12")

ROUND_TRIP = """
- hosts: all
  gather_facts: false
  tasks:
    - name: Send
      ansible.builtin.copy: {src: sent, dest: "/root/a file", mode: "0640"}
    - name: Fetch
      ansible.builtin.fetch: {src: "/root/a file", dest: fetched, flat: true}
    - name: As somebody else
      become: true
      become_user: nobody
      become_flags: "-H -n"
      ansible.builtin.command: id -un
      register: who
      vars: {ansible_pipelining: true}
    - name: It was nobody
      ansible.builtin.assert: {that: who.stdout == "nobody"}
    - name: A script
      ansible.builtin.script: script.sh "two words"
      register: said
    - name: Its words arrived
      ansible.builtin.assert: {that: said.stdout == "two words"}
"""


class Container(unittest.TestCase):
    def setUp(self):
        made = subprocess.run(
            ["docker", "run", "-d", "--label", "ovenbird.test=connection", "--entrypoint=", IMAGE, "sleep", "300"],
            capture_output=True, text=True, check=True, timeout=60,
        )  # fmt: skip
        self.container = made.stdout.strip()
        self.addCleanup(subprocess.run, ["docker", "rm", "-f", self.container], capture_output=True, check=True)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def play(self, playbook, host):
        (self.root / "play.yml").write_text(playbook, encoding="utf-8")
        (self.root / "ansible.cfg").write_text("[defaults]\ninterpreter_python = /usr/bin/python3\n", encoding="utf-8")
        (self.root / "hosts").write_text(f"box ansible_connection=ovenbird_docker ansible_host={host} ansible_user=root\n", encoding="utf-8")
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        environment |= {
            "ANSIBLE_CONNECTION_PLUGINS": str(PLUGINS), "ANSIBLE_CONFIG": str(self.root / "ansible.cfg"),
            "ANSIBLE_HOME": str(self.root / "home"), "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        return subprocess.run(
            ["ansible-playbook", "-i", "hosts", "play.yml"],
            cwd=self.root, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def test_files_commands_and_scripts_arrive_unchanged(self):
        sent = bytes(range(256)) * 4096 + b"no newline at the end"
        (self.root / "sent").write_bytes(sent)
        (self.root / "script.sh").write_text('#!/bin/sh\nprintf %s "$1"\n', encoding="utf-8")
        done = self.play(ROUND_TRIP, self.container)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual((self.root / "fetched").read_bytes(), sent)

    def test_a_container_that_is_gone_is_unreachable(self):
        done = self.play("- hosts: all\n  gather_facts: false\n  tasks:\n    - ansible.builtin.ping:\n", "ovenbird-no-such-container")
        self.assertEqual(done.returncode, 4, done.stdout + done.stderr)
        self.assertIn("No such container", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
