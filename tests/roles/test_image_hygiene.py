# Proves the program behind the role image_hygiene, in a folder that stands for a machine: what it removes, what it leaves alone, and
# that its check finds what is left. Must not need root or Docker. Run: python3 -m unittest discover tests/roles
"""What must not go into an image."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[2] / "ansible/roles/image_hygiene/files/image_hygiene.py"
OLD, BOOT, NEW = 1_000_000_000, 1_500_000_000, 1_600_000_000

# Of one machine only: path and content.
OWN = {
    "etc/ssh/ssh_host_ed25519_key": "private",
    "etc/ssh/ssh_host_ed25519_key.pub": "ssh-ed25519 AAAA root@build",
    "root/.ssh/authorized_keys": "ssh-ed25519 AAAA packer",
    "home/admin/.ssh/authorized_keys": "ssh-ed25519 AAAA packer",
    "home/admin/.bash_history": "secret things",
    "root/.python_history": "secret things",
    "home/admin/.cache/pip/x": "x",
    "home/admin/.ansible/tmp/x": "x",
    "var/lib/cloud/instances/i-0/user-data.txt": "secret",
    "var/lib/cloud/sem/config_scripts": "x",
    "var/lib/cloud/data/instance-id": "i-0",
    "var/lib/systemd/random-seed": "seed",
    "var/lib/dhcp/dhclient.eth0.leases": "lease",
    "var/lib/apt/lists/deb.debian.org_InRelease": "x",
    "var/lib/apt/periodic/update-success-stamp": "x",
    "var/cache/apt/archives/nginx.deb": "x",
    "tmp/left": "x",
    "tmp/.hidden": "x",
    "var/tmp/folder/left": "x",
    "var/log/journal/00000000000000000000000000000001/system.journal": "x",
    "var/log/syslog.1": "x",
    "var/log/nginx/access.log-20260101": "x",
}
EMPTIED = ("var/log/syslog", "var/log/nginx/access.log", "var/log/wtmp")
KEPT = {
    "etc/ssh/sshd_config": "x",
    "etc/ssh/ssh_config": "x",
    "home/admin/.ssh/config": "x",
    "home/admin/.bashrc": "x",
    "var/lib/cloud/seed/nocloud/user-data": "x",
    "var/lib/dpkg/status": "x",
    "usr/sbin/sshd": "x",
}


class Machine(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        self.write("etc/passwd", "root:x:0:0:root:/root:/bin/bash\nbin:x:2:2:bin:/bin:/usr/sbin/nologin\nadmin:x:1000:1000::/home/admin:/bin/bash\n")
        self.write("etc/machine-id", "a" * 32 + "\n")
        for path, text in (OWN | KEPT).items():
            self.write(path, text)
        for path in EMPTIED:
            self.write(path, "a line\n")

    def write(self, path, text, time=OLD):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        for one in (path, *(parent for parent in path.parents if parent != self.root and self.root in parent.parents)):
            os.utime(one, (time, time))

    def text(self, path):
        return (self.root / path).read_text(encoding="utf-8")

    def run_it(self, command, *arguments, code=0):
        done = subprocess.run([sys.executable, PROGRAM, command, "--root", self.root, *arguments], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, code, done.stderr + done.stdout)
        return json.loads(done.stdout)

    def check(self, *arguments, code=1):
        left = self.run_it("check", "--booted-at", str(BOOT), *arguments, code=code)["left"]
        return {one["path"]: one["why"] for one in left}

    def boot(self, machine_id="b" * 32, key="BBBB"):
        """What a boot makes anew."""
        self.write("etc/machine-id", machine_id + "\n", NEW)
        self.write("etc/ssh/ssh_host_ed25519_key", "private", NEW)
        self.write("etc/ssh/ssh_host_ed25519_key.pub", f"ssh-ed25519 {key} root@instance", NEW)
        self.write("home/admin/.ssh/authorized_keys", "ssh-ed25519 CCCC operator", NEW)
        self.write("var/lib/cloud/instances/i-1/user-data.txt", "x", NEW)
        self.write("var/lib/cloud/sem/config_scripts", "x", NEW)
        self.write(f"var/log/journal/{machine_id}/system.journal", "x", NEW)
        self.write("var/log/syslog", "booted\n", NEW)


class Cleaning(Machine):
    def test_what_belongs_to_one_machine_goes_and_the_rest_stays(self):
        self.assertTrue(self.run_it("clean")["changed"])
        self.assertEqual([path for path in OWN if (self.root / path).exists()], [])
        self.assertEqual([path for path in EMPTIED if self.text(path) != ""], [])
        self.assertEqual({path: self.text(path) for path in KEPT}, KEPT)
        self.assertEqual(self.text("etc/machine-id"), "")

    def test_a_second_time_changes_nothing(self):
        self.run_it("clean")
        self.assertEqual(self.run_it("clean"), {"changed": False, "removed": []})

    def test_what_every_run_makes_anew_is_removed_and_is_no_change(self):
        self.run_it("clean")
        self.write("var/log/syslog", "again")
        self.write("var/lib/apt/lists/deb.debian.org_InRelease", "x")
        self.write("home/admin/.ansible/tmp/x", "x")
        self.write("tmp/left", "x")
        again = self.run_it("clean")
        self.assertFalse(again["changed"])
        self.assertEqual(len(again["removed"]), 4)

    def test_package_lists_that_are_gone_look_old(self):
        self.run_it("clean")
        self.assertEqual((self.root / "var/lib/apt/lists").stat().st_mtime, 0)

    def test_keys_that_a_role_put_there_stay(self):
        self.run_it("clean", "--keep-keys-of=admin")
        self.assertTrue((self.root / "home/admin/.ssh/authorized_keys").exists())
        self.assertFalse((self.root / "root/.ssh/authorized_keys").exists())

    def test_further_paths_and_patterns(self):
        self.write("var/lib/consul/node-id", "x")
        self.run_it("clean", "--path=/var/lib/consul/*")
        self.assertEqual(list((self.root / "var/lib/consul").iterdir()), [])

    def test_others_are_asked_to_forget_while_the_machine_lives(self):
        for command, asked in (("seal", False), ("clean", True)):
            script = self.root / "etc/cloud/clean.d/10-x"
            self.write("etc/cloud/clean.d/10-x", f"#!/bin/sh\n: >{self.root}/asked\n")
            script.chmod(0o755)
            self.write("etc/cloud/clean.d/README", "not a script")
            self.run_it(command)
            self.assertEqual((self.root / "asked").exists(), asked)

    def test_the_record_holds_no_id_and_no_key(self):
        self.run_it("clean")
        record = self.text("etc/image-hygiene/record.json")
        self.assertNotIn("a" * 32, record)
        self.assertNotIn("AAAA", record)

    def test_links_out_of_the_list_are_not_followed(self):
        outside = self.root / "srv/data"
        self.write("srv/data/file", "x")
        (self.root / "var/tmp/link").symlink_to(outside)
        (self.root / "var/log/linked").symlink_to(outside / "file")
        self.run_it("clean")
        self.assertEqual(self.text("srv/data/file"), "x")
        self.assertFalse((self.root / "var/tmp/link").is_symlink())


class Checking(Machine):
    def test_an_image_that_was_cleaned_and_booted_passes(self):
        self.run_it("clean")
        self.boot()
        self.assertEqual(self.check(code=0), {})

    def test_each_thing_that_is_left_is_named(self):
        self.run_it("clean")
        self.boot()
        for path in OWN:
            if path == "etc/ssh/ssh_host_ed25519_key.pub":
                continue   # goes with the other half
            with self.subTest(path):
                before = (self.root / path).read_bytes() if (self.root / path).exists() else None
                self.write(path, "left")
                left = self.check()
                self.assertEqual(set(left.values()), {"older than this boot"})
                self.assertTrue(any(f"/{path}".startswith(one) for one in left), left)
                (self.root / path).unlink()
                self._tidy(path)
                if before is not None:
                    self.write(path, before.decode(), NEW)
        self.assertEqual(self.check(code=0), {})

    def _tidy(self, path):
        for parent in (self.root / path).parents:
            if parent == self.root:
                break
            os.utime(parent, (NEW, NEW))
            if parent.name in ("folder", "i-0", "00000000000000000000000000000001", "pip"):
                parent.rmdir()

    def test_ids_and_keys_that_are_new_and_yet_the_same_are_named(self):
        self.run_it("clean")
        self.boot(machine_id="a" * 32, key="AAAA")
        self.assertEqual(self.check(), {"/etc/machine-id": "the same as on the machine that built the image", "/etc/ssh": "the same as on the machine that built the image"})

    def test_an_image_remembers_the_builds_of_its_parents(self):
        self.run_it("clean")
        self.boot()
        self.run_it("clean")
        self.boot(machine_id="c" * 32, key="CCCC")
        self.assertEqual(self.check(code=0), {})
        self.boot(machine_id="a" * 32, key="BBBB")
        self.assertEqual(set(self.check()), {"/etc/machine-id", "/etc/ssh"})

    def test_a_machine_nobody_can_log_in_to_or_without_an_id_is_named(self):
        self.run_it("clean")
        left = self.check()
        self.assertIn("holds no id", left["/etc/machine-id"])
        self.assertIn("nobody can log in", left["/etc/ssh"])

    def test_an_image_that_nobody_cleaned_is_named(self):
        left = self.check()
        self.assertIn("was this image cleaned?", left["/etc/image-hygiene/record.json"])
        self.assertIn("/etc/ssh/ssh_host_ed25519_key", left)


if __name__ == "__main__":
    unittest.main()
