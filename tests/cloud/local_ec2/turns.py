# Owns: whose turn it is in moto, whose dictionaries are not made for threads: a listing fails when another call adds to them.
# Must not: know calls or containers. Invariant: one thread is in moto at a time, and none that waits for Docker.
"""One at a time in moto, without standing still while a container starts."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# One per process, as moto's state is.
_turn = threading.Lock()
_mine = threading.local()


@contextmanager
def in_moto() -> Iterator[None]:
    """A call's turn."""
    with _turn:
        _mine.held = True
        try:
            yield
        finally:
            _mine.held = False


def aside(slow: Callable[P, R]) -> Callable[P, R]:
    """Lets the others take their turns while `slow` runs. Its caller must not rely on what it read of moto before."""

    @functools.wraps(slow)
    def waiting(*args: P.args, **kwargs: P.kwargs) -> R:
        if not getattr(_mine, "held", False):
            return slow(*args, **kwargs)
        _mine.held = False
        _turn.release()
        try:
            return slow(*args, **kwargs)
        finally:
            _turn.acquire()
            _mine.held = True

    return waiting
