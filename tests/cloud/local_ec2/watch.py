# Owns: noticing that a container ended by itself. Must not: start or remove one, or decide what follows.
# Invariant: the `docker events` behind it ends with us, however we end: it is told to by the kernel.
"""Instances that stop on their own."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import threading
import traceback
from collections.abc import Callable

from . import ACCOUNT, LABEL
from .turns import in_moto

PR_SET_PDEATHSIG = 1


class Watch:
    """Says `died(instance id)` for each container of this server that ends."""

    def __init__(self, server_id: str, died: Callable[[str], None]) -> None:
        self.server_id = server_id
        self.died = died
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Once; the thread that starts the child is the one that reads it, since the kernel's signal comes when that thread ends."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, name="watch", daemon=True)
            self._thread.start()

    def _read(self) -> None:
        libc = ctypes.CDLL(None)
        name = f"{LABEL}.instance"
        child = subprocess.Popen(
            ["docker", "events", "--filter", f"label={LABEL}={self.server_id}", "--filter", "event=die", "--format", f'{{{{index .Actor.Attributes "{name}"}}}}'],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
            preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL),
        )  # fmt: skip
        for line in child.stdout or ():
            try:
                self.died(line.strip())
            except Exception:
                traceback.print_exc()


def stopped(instance_id: str) -> None:
    """As EC2 sees an instance that shut itself down. One that we stop or terminate is no longer `running` when this looks,
    or will be written over by who stops it."""
    from moto.ec2.models import ec2_backends

    with in_moto():
        for backend in ec2_backends[ACCOUNT].values():
            instance = backend.get_instance_by_id(instance_id)
            if instance is not None and instance.state in ("pending", "running"):
                instance._state.name, instance._state.code = "stopped", 80
