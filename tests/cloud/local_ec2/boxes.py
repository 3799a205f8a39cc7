# Owns: Docker: instances as containers, images as commits, and the removal of both.
# Must not: know moto or EC2's rules; it is told a name, an image and a seed folder.
# Invariant: every container and image made here carries LABEL; no method leaves a container behind when it raises.
"""Containers that behave like EC2 instances."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import uuid
from pathlib import Path
from typing import NamedTuple

from . import LABEL
from .seed import KEEP_HOSTS, init_command
from .turns import aside


class DockerError(RuntimeError):
    """Docker refused; the message is its last line."""


class Addresses(NamedTuple):
    """Of one instance; the same twice when it is on one network."""

    private: str
    public: str


def docker(*args: str, timeout: float = 120) -> str:
    """Run one docker command and give back its stdout."""
    done = subprocess.run(
        ["docker", *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise DockerError(f"docker {args[0]}: {lines[-1] if lines else f'exit {done.returncode}'}")
    return done.stdout.strip()


def systemd_flags() -> tuple[str, list[str]]:
    """Flags under which systemd runs as PID 1 on this host, and the name of the choice."""
    info = json.loads(docker("info", "--format", "{{json .}}"))
    flags = ["--cap-add", "SYS_ADMIN", "--security-opt", "seccomp=unconfined"]
    if any("apparmor" in option for option in info.get("SecurityOptions") or []):
        # Docker's own profile denies mount(2), which systemd needs for almost every unit.
        flags += ["--security-opt", "apparmor=unconfined"]
    version = str(info.get("CgroupVersion") or "1")
    if version == "2":
        flags += ["--cgroupns=host", "-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw"]
    else:
        flags += ["-v", "/sys/fs/cgroup:/sys/fs/cgroup:ro"]
    return f"cgroup v{version}", flags


class Boxes:
    """All containers and images of one server."""

    def __init__(self, server_id: str, folder: Path) -> None:
        self.server_id = server_id
        self.folder = folder
        self.label = f"{LABEL}={server_id}"
        self._flags: tuple[str, list[str]] | None = None
        self._lock = threading.Lock()

    def flags(self) -> tuple[str, list[str]]:
        with self._lock:
            if self._flags is None:
                self._flags = systemd_flags()
            return self._flags

    @aside
    def start(self, instance_id: str, image: str, networks: tuple[str, ...] = ()) -> Addresses:
        """Boot an instance from `image` with the seed in `folder/instance_id`, on these Docker networks, the private one first."""
        seed = self.folder / instance_id
        name = f"{instance_id}-{self.server_id}"
        try:
            docker(
                "create", "--name", name, "--label", self.label, "--label", f"{LABEL}.instance={instance_id}",
                *self.flags()[1], *(["--network", networks[0]] if networks else []),
                "--tmpfs", "/run:exec,mode=755", "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec,mode=1777",
                "-v", f"{seed / 'nocloud'}:/var/lib/cloud/seed/nocloud:ro",
                "-v", f"{seed / 'local-ec2.cfg'}:/etc/cloud/cloud.cfg.d/99-local-ec2.cfg:ro",
                "--env", "container=docker", "--stop-signal", "SIGRTMIN+3", "--restart", "no",
                # What the image says about its own start is for docker run, not for an instance.
                "--entrypoint", "/bin/sh", "--user", "0", "--workdir", "/", "--no-healthcheck",
                image, *init_command(),
            )  # fmt: skip
            # Before it starts: what asks for its addresses at boot must find them all.
            for network in networks[1:]:
                docker("network", "connect", network, name)
            docker("start", name)
            return self.addresses(instance_id, networks)
        except BaseException:
            self.remove(instance_id)
            raise

    @aside
    def start_light(self, instance_id: str, image: str) -> Addresses:
        """Start an instance of a light AMI: one process, no systemd, on the address in a second."""
        try:
            docker(
                "run", "--detach", "--name", f"{instance_id}-{self.server_id}", "--label", self.label, "--label", f"{LABEL}.instance={instance_id}",
                "-v", f"{self.folder / instance_id / 'nocloud'}:/var/lib/cloud/seed/nocloud:ro",
                "-v", f"{Path(__file__).with_name('light_server.py')}:/light_server.py:ro",
                "--env", "PYTHONDONTWRITEBYTECODE=1", "--restart", "no", "--log-driver", "none",
                "--entrypoint", "python3", "--user", "0", "--workdir", "/", "--no-healthcheck",
                image, "-S", "-E", "/light_server.py",
            )  # fmt: skip
            return self.addresses(instance_id)
        except BaseException:
            self.remove(instance_id)
            raise

    def addresses(self, instance_id: str, networks: tuple[str, ...] = ()) -> Addresses:
        """On these networks, the private one first; none named: on the one that it is on."""
        found = json.loads(
            docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", f"{instance_id}-{self.server_id}")
        )
        having = [str(found[one]["IPAddress"]) for one in networks or found if found.get(one, {}).get("IPAddress")]
        if not having:
            raise DockerError(f"{instance_id} has no address: it ended while starting")
        return Addresses(having[0], having[-1])

    @aside
    def stop(self, instance_id: str) -> None:
        """Shut the instance down as systemd does it, so that what it wrote is on its disk."""
        self._keep_hosts(instance_id)
        docker("stop", "--time", "15", f"{instance_id}-{self.server_id}")

    def _keep_hosts(self, instance_id: str) -> None:
        """Docker empties /etc/hosts in every new container, also in one of an image that has it. So a copy is kept beside
        it, which the next boot finds. An instance that is not running has kept it when it was stopped."""
        subprocess.run(
            ["docker", "exec", f"{instance_id}-{self.server_id}", "sh", "-c", KEEP_HOSTS],
            stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip

    @aside
    def restart(self, instance_id: str, networks: tuple[str, ...] = ()) -> Addresses:
        docker("start", f"{instance_id}-{self.server_id}")
        return self.addresses(instance_id, networks)

    @aside
    def remove(self, instance_id: str) -> None:
        subprocess.run(
            ["docker", "rm", "--force", "--volumes", f"{instance_id}-{self.server_id}"],
            stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip

    @aside
    def commit(self, instance_id: str) -> str:
        """Make an image of the instance's disk. It has a tag, or `docker image prune` would take it away."""
        self._keep_hosts(instance_id)
        tag = f"ovenbird-local-ec2/{self.server_id}:{uuid.uuid4().hex[:12]}"
        docker("commit", "--change", f"LABEL {self.label}", f"{instance_id}-{self.server_id}", tag, timeout=600)
        return tag

    @aside
    def drop_image(self, tag: str) -> None:
        """Remove an image; one that a container still runs on goes when the server ends."""
        subprocess.run(
            ["docker", "rmi", "--force", tag], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )

    def exists(self, image: str) -> bool:
        done = subprocess.run(
            ["docker", "image", "inspect", image], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        return done.returncode == 0

    def containers(self) -> list[str]:
        if self._flags is None:
            return []  # nothing was ever started: an instant server answers without Docker
        return docker("ps", "--all", "--filter", f"label={self.label}", "--format", "{{.Names}}").split()

    def images(self) -> list[str]:
        if self._flags is None:
            return []
        return docker("images", "--filter", f"label={self.label}", "--format", "{{.Repository}}:{{.Tag}}").split()


def base_image() -> str:
    from . import BASE_IMAGE

    return os.environ.get("OVENBIRD_BASE_IMAGE", BASE_IMAGE)
