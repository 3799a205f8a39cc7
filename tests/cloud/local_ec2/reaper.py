# Owns: the end. A process of its own that waits until its server is gone and then removes all that carries the server's label or works in its folder.
# Must not: import moto or anything that can fail to load; be reached by signals meant for the server.
# Invariant: it ends only when two looks in a row found nothing, since a dead server's last docker command may still be running.
"""The watchdog: `python -m local_ec2.reaper SERVER_ID FOLDER`, its stdin a pipe that the server holds open."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

from . import LABEL


def _lines(*args: str) -> list[str]:
    done = subprocess.run(["docker", *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.stdout.split()


def sweep(server_id: str) -> int:
    """Remove every container, image and network of this server; gives back how many were seen."""
    wanted = f"label={LABEL}={server_id}"
    containers = _lines("ps", "--all", "--quiet", "--filter", wanted)
    if containers:
        _lines("rm", "--force", "--volumes", *containers)
    # By name first: an id with several names, or with children, is refused or only loses one name.
    names = [name for name in _lines("images", "--filter", wanted, "--format", "{{.Repository}}:{{.Tag}}") if "<" not in name]
    if names:
        _lines("rmi", "--force", *names)
    images = _lines("images", "--quiet", "--filter", wanted)
    if images:
        _lines("rmi", "--force", *images)
    networks = _lines("network", "ls", "--quiet", "--filter", wanted)
    if networks:
        _lines("network", "rm", *networks)
    return len(containers) + len(names) + len(images) + len(networks)


def end_processes(folder: str) -> None:
    """Kill what works in the server's folder: its load balancers. By their folder, since a pid may be somebody else's by now."""
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            try:
                if os.readlink(f"/proc/{entry.name}/cwd") == folder:
                    os.kill(int(entry.name), signal.SIGKILL)
            except OSError:
                continue


def clean(server_id: str, folder: str, patience: float = 30.0) -> None:
    """Sweep until two looks in a row found nothing."""
    deadline = time.monotonic() + patience
    end_processes(folder)
    empty = 0
    while empty < 2 and time.monotonic() < deadline:
        empty = 0 if sweep(server_id) else empty + 1
        if empty < 2:
            time.sleep(0.3)
    # A process that the server was starting when it died may have come after the first look.
    end_processes(folder)
    shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    server_id, folder = sys.argv[1:3]
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(one, signal.SIG_IGN)
    # Nothing is ever written: the read returns when the last holder of the other end is gone, however it went.
    while os.read(0, 64):
        pass
    clean(server_id, folder)


if __name__ == "__main__":
    main()
