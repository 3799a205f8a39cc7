# Owns: the figures that the proofs of the keys found, as entries of the group. Must not: measure or repeat a proof.
# Invariant: a figure that no proof has written is "not measured" and does not hold; it is never taken for good.
"""`missing_inputs`, `missed_rebuilds`, `rebuilds_over_whole_tree`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from common import TARGET, Bench, Figure, figure

# Figure → the files under target/ that hold it (of several it is the sum), its unit, its goal.
FIGURES = {
    "missing_inputs": (("keys-proof.json",), "files", "== 0"),
    "missed_rebuilds": (("keys-proof.json", "keys-history.json"), "stages", "== 0"),
    "rebuilds_over_whole_tree": (("keys-history.json",), "x", "<= 0.33"),
}


def measure(bench: Bench) -> list[Figure]:
    return [proved(bench.group, name, *where) for name, where in FIGURES.items()]


def proved(group: str, name: str, files: tuple[str, ...], unit: str, goal: str) -> Figure:
    values = {file: number(TARGET / file, name) for file in files}
    lacking = [file for file, value in values.items() if value is None]
    if lacking:
        why = f"not measured: `{name}` is not in target/{lacking[0]}; `make proof` writes it"
        return Figure(group, name, None, unit, goal=goal, holds=False, about=why)
    hours = max(time.time() - (TARGET / file).stat().st_mtime for file in files) / 3600
    total = sum(value for value in values.values() if value is not None)
    return figure(group, name, total, unit, None, goal, f"target/{', target/'.join(files)}, {hours:.1f} hours old")


def number(path: Path, name: str) -> float | None:
    try:
        read: Any = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    value = read.get(name) if isinstance(read, dict) else None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
