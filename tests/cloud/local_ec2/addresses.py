# Owns: loopback addresses, one for each load balancer, that no other local EC2 of this machine has.
# Must not: know load balancers. Invariant: an address is ours while a socket holds its guard port, so it is free again when we are gone.
"""An address of one's own in 127.0.0.0/8."""

from __future__ import annotations

import random
import socket

GUARD_PORT = 54999
"""Bound on each address taken; below the ports that Linux gives out by itself only on odd settings, and no load balancer listens there."""


class Address:
    """One address, taken. Linux answers on all of 127.0.0.0/8 without any set-up."""

    def __init__(self) -> None:
        for _ in range(200):
            # 127.0.x.y is where other programs of a machine live (127.0.0.53, 127.0.1.1).
            text = f"127.{random.randint(1, 254)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
            guard = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                guard.bind((text, GUARD_PORT))
            except OSError:
                guard.close()
                continue
            self.text = text
            self._guard = guard
            return
        raise OSError(f"no free loopback address found; does this system answer on all of 127.0.0.0/8 (port {GUARD_PORT})?")

    def release(self) -> None:
        self._guard.close()
