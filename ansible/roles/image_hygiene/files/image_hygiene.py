#!/usr/bin/python3
# Owns: the list of what must not go from a build machine into an image, its removal, and the look for it on a machine booted since.
# Must not: end a connection that is open, touch what a package owns, or need more than Python 3.9 and its standard library.
# Invariant: `check` looks for exactly what `clean` removes, by one list, and both give one JSON object on stdout.
"""Remove what belongs to one machine only, or say what of it is there.

    image_hygiene.py clean    remove it; `changed` leaves out what every run of a playbook makes anew (logs, caches, temporary files)
    image_hygiene.py seal     the same while the machine shuts down: nothing is started or stopped any more
    image_hygiene.py check    on a machine booted from the image: what is older than this boot, or the same as on the build machine

The record says which machine-ids and host keys build machines had, as digests. It stays in the image: of a machine whose keys are
as new as its boot, it tells whether they are new indeed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

RECORD = "etc/image-hygiene/record.json"

# What, where, how, and whether every run of a playbook makes it anew. `~` is each account's home.
#   remove: whatever matches   files: every file below, the folders stay   empty: files are truncated, rotated ones removed
LIST = [
    ("ssh host keys", ["etc/ssh/ssh_host_*"], "remove", False),
    ("authorized keys", ["~/.ssh/authorized_keys", "~/.ssh/authorized_keys2", "~/.ssh/known_hosts", "~/.ssh/known_hosts.old"], "remove", False),
    ("shell histories", ["~/.*_history", "~/.lesshst", "~/.viminfo", "~/.wget-hsts"], "remove", False),
    ("marks of sudo", ["~/.sudo_as_admin_successful"], "remove", True),
    ("caches of accounts", ["~/.ansible", "~/.ansible_async", "~/.cache"], "files", True),
    ("cloud-init state", ["var/lib/cloud/[!s]*", "var/lib/cloud/s[!e]*", "var/lib/cloud/sem"], "remove", False),   # all but the seed
    ("random seed", ["var/lib/systemd/random-seed", "var/lib/systemd/credential.secret", "var/lib/urandom/random-seed"], "remove", False),
    ("DHCP leases", ["var/lib/dhcp/*", "var/lib/dhclient/*", "var/lib/dhcpcd/*", "var/lib/NetworkManager/*lease*", "var/lib/NetworkManager/secret_key"], "remove", False),
    ("names of network cards", ["etc/udev/rules.d/70-persistent-net.rules"], "remove", False),
    ("registration of the SSM agent", ["var/lib/amazon/ssm/*"], "remove", False),
    ("package lists and archives", ["var/lib/apt/lists", "var/lib/apt/periodic", "var/cache/apt", "var/cache/dnf", "var/cache/yum"], "files", True),
    ("temporary files", ["tmp/*", "tmp/.[!.]*", "var/tmp/*", "var/tmp/.[!.]*"], "remove", True),
    ("journals", ["var/log/journal/*"], "remove", True),
    ("logs", ["var/log"], "empty", True),
]
ROTATED = re.compile(r"\.(gz|xz|bz2|zst|old|\d+)$|-\d{8}(-\d+)?$")
# Sockets and folders that running programs hold; they are made anew at each boot, and systemd clears its own out by itself.
HELD = re.compile(r"^systemd-private-|^\.(X11|ICE|XIM|font|Test)-unix$")
# The module of Ansible that runs us, and that removes it when we are done.
ANSIBLE = re.compile(r"^ansible_.*_payload_")


class Tree:
    """The files of one machine, below `root`."""

    def __init__(self, root: Path, more=(), keep_keys_of=()):
        self.root = root
        self.keep_keys_of = set(keep_keys_of)
        self.list = [*LIST, ("further paths", [path.lstrip("/") for path in more], "remove", False)]

    def _homes(self):
        try:
            accounts = [line.split(":") for line in (self.root / "etc/passwd").read_text(encoding="utf-8").splitlines()]
        except OSError:
            accounts = []
        homes = {}
        for account in accounts:
            # Homes such as /, /bin or /dev belong to no account alone.
            if len(account) > 5 and account[5].count("/") >= (1 if account[0] == "root" else 2):
                homes.setdefault(account[5].strip("/"), account[0])
        return homes

    def _patterns(self, pattern):
        if not pattern.startswith("~"):
            return [pattern]
        return [
            home + pattern[1:]
            for home, account in self._homes().items()
            if home and not (account in self.keep_keys_of and "authorized_keys" in pattern)
        ]

    def entries(self):
        """What of the list is here: (what, how, made anew, path)."""
        ours = _ours()
        for what, patterns, how, remade in self.list:
            for pattern in [one for pattern in patterns for one in self._patterns(pattern)]:
                for path in sorted(self.root.glob(pattern)):
                    if how == "remove":
                        if not HELD.search(path.name) and not os.path.ismount(path):
                            yield what, how, remade, path
                        continue
                    for folder, folders, files in os.walk(path):
                        # Each journal is an entry of its own, above.
                        folders[:] = [] if folder == str(self.root / "var/log/journal") else sorted(folders)
                        for name in sorted(files):
                            file = Path(folder) / name
                            if stat.S_ISREG(file.lstat().st_mode) and (file.lstat().st_size or ROTATED.search(name)) and str(file) not in ours:
                                yield what, how, remade, file

    def shown(self, path):
        return f"/{path.relative_to(self.root)}"

    # --- what may not come back ---------------------------------------------------------------------------------------------------

    def machine_id(self):
        try:
            return (self.root / "etc/machine-id").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def identity(self):
        """Digests of what makes this machine this one."""
        keys = []
        for path in sorted(self.root.glob("etc/ssh/ssh_host_*.pub")):
            keys.append(_digest(" ".join(path.read_text(encoding="utf-8", errors="replace").split()[:2])))
        machine_id = self.machine_id()
        return {"machine_ids": [_digest(machine_id)] if len(machine_id) == 32 else [], "host_keys": keys}

    def record(self):
        try:
            return json.loads((self.root / RECORD).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"machine_ids": [], "host_keys": []}

    def remember(self):
        record, now = self.record(), self.identity()
        more = {name: sorted({*record[name], *now[name]}) for name in record}
        if more == record:
            return
        path = self.root / RECORD
        path.parent.mkdir(mode=0o755, exist_ok=True)
        new = path.with_name(".record.json.new")
        new.write_text(json.dumps(more, indent=1) + "\n", encoding="ascii")
        new.chmod(0o644)
        os.replace(new, path)

    # --- clean --------------------------------------------------------------------------------------------------------------------

    def clean(self, live):
        """Remove it all. `live`: the machine goes on running for a while."""
        self.remember()
        if live:
            _quietly("journalctl", "--relinquish-var")   # while the machine still has an id
            self._forget()
        changed, gone = False, []
        for what, how, remade, path in self.entries():
            if live and ANSIBLE.search(path.name):
                continue
            _remove(path, how)
            gone.append({"what": what, "path": self.shown(path)})
            changed = changed or not remade
        for name in ("etc/machine-id", "var/lib/dbus/machine-id"):
            path = self.root / name
            if path.is_file() and not path.is_symlink() and path.stat().st_size:
                # Emptied, not removed: without the file systemd takes the next boot for the first one of all, and resets which
                # services start. In place, because it may be a mount.
                path.write_bytes(b"")
                gone.append({"what": "machine-id", "path": self.shown(path)})
                changed = True
        # Ansible takes the age of this folder for the age of the lists in it; there are none now.
        lists = self.root / "var/lib/apt/lists"
        if lists.is_dir():
            os.utime(lists, (0, 0))
        return changed, gone

    def _forget(self):
        """What others have put there for `cloud-init clean`, which does not come to it where cloud-init has never run."""
        for script in sorted((self.root / "etc/cloud/clean.d").glob("*")):
            if os.access(script, os.X_OK) and script.is_file() and not _quietly(str(script)):
                raise SystemExit(f"image_hygiene: {self.shown(script)} failed; run it by hand to see why")

    # --- check --------------------------------------------------------------------------------------------------------------------

    def check(self, booted_at):
        """What is left of the build machine."""
        left = []

        def say(what, path, why):
            left.append({"what": what, "path": path, "why": why})

        now = self.machine_id()
        for what, how, _, path in self.entries():
            if what == "journals" and path.name.partition(".")[0] == now:
                continue
            if path.lstat().st_mtime < booted_at:
                say(what, self.shown(path), "older than this boot")
        record, identity = self.record(), self.identity()
        if not (self.root / RECORD).is_file():
            say("record", f"/{RECORD}", "is not there: was this image cleaned?")
        if not re.fullmatch(r"[0-9a-f]{32}", now):
            say("machine-id", "/etc/machine-id", "holds no id: services that need one fail")
        for name, what, path in (("machine_ids", "machine-id", "/etc/machine-id"), ("host_keys", "ssh host keys", "/etc/ssh")):
            if set(record[name]) & set(identity[name]):
                say(what, path, "the same as on the machine that built the image")
        dbus = self.root / "var/lib/dbus/machine-id"
        if dbus.is_file() and dbus.read_text(encoding="ascii", errors="replace").strip() != now:
            say("machine-id", self.shown(dbus), "differs from /etc/machine-id")
        if (self.root / "usr/sbin/sshd").exists() and not identity["host_keys"]:
            say("ssh host keys", "/etc/ssh", "there are none: nobody can log in")
        return left


def _ours():
    """Files that those who started us were started from: without pipelining Ansible's module is one below ~/.ansible."""
    words, pid = set(), os.getpid()
    while pid > 1:
        try:
            words.update(Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").replace("\0", " ").split())
            pid = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            break
    return words


def _digest(text):
    return hashlib.sha256(f"image-hygiene {text}".encode()).hexdigest()


def _remove(path: Path, how):
    if how == "empty" and not ROTATED.search(path.name):
        os.truncate(path, 0)
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _quietly(*command):
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def boot_time():
    """When the first process started: in a container that is not when the kernel did."""
    ticks = int(Path("/proc/1/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19])
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["clean", "seal", "check"])
    parser.add_argument("--root", type=Path, default=Path("/"))
    parser.add_argument("--path", action="append", default=[], help="a further path or pattern")
    parser.add_argument("--keep-keys-of", action="append", default=[], metavar="ACCOUNT", help="whose authorized_keys belong into the image")
    parser.add_argument("--booted-at", type=float, help="seconds since the epoch; default: when process 1 started")
    asked = parser.parse_args(arguments)
    tree = Tree(asked.root, asked.path, asked.keep_keys_of)
    if asked.command == "check":
        left = tree.check(boot_time() if asked.booted_at is None else asked.booted_at)
        print(json.dumps({"left": left}))
        return 1 if left else 0
    changed, gone = tree.clean(live=asked.command == "clean")
    print(json.dumps({"changed": changed, "removed": gone}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
