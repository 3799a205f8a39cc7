# Owns: the figures that the proofs of the keys found, as entries of the group. Must not: measure or repeat a proof.
# Invariant: a figure that no proof has written is "not measured" and does not hold; it is never taken for good.
"""`missing_inputs`, `missed_rebuilds`, `rebuilds_over_whole_tree`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from common import TARGET, Bench, Figure, figure

# Figure → the file under target/ that holds it, its unit, its goal.
FIGURES = {
    "missing_inputs": ("keys-proof.json", "files", "== 0"),
    "missed_rebuilds": ("keys-history.json", "stages", "== 0"),
    "rebuilds_over_whole_tree": ("keys-history.json", "x", "<= 0.33"),
}
WRITTEN_BY = {"keys-proof.json": "make proof", "keys-history.json": "make proof"}


def measure(bench: Bench) -> list[Figure]:
    return [proved(bench.group, name, *where) for name, where in FIGURES.items()]


def proved(group: str, name: str, file: str, unit: str, goal: str) -> Figure:
    path = TARGET / file
    value = number(path, name)
    if value is None:
        why = f"not measured: `{name}` is not in target/{file}; `{WRITTEN_BY[file]}` writes it"
        return Figure(group, name, None, unit, goal=goal, holds=False, about=why)
    hours = (time.time() - path.stat().st_mtime) / 3600
    return figure(group, name, value, unit, None, goal, f"target/{file}, {hours:.1f} hours old")


def number(path: Path, name: str) -> float | None:
    try:
        read: Any = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    value = read.get(name) if isinstance(read, dict) else None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
