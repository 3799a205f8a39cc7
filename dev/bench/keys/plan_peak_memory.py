# Owns: how much memory a plan over a large tree takes. Must not: count the parts of the bench itself.
# Invariant: the larger of several plans, cold ones and warm ones.
"""`plan_peak_memory`."""

from __future__ import annotations

from common import Bench, Figure, MeasureError, figure, spread
from trees import Built

ROUNDS = 5


def measure(bench: Bench) -> list[Figure]:
    figures = []
    for every_role, name, goal in ((False, "plan_peak_memory", "<= 100"), (True, "plan_peak_memory.every_role", None)):
        with Built(bench, every_role=every_role) as large:
            peaks = []
            for _ in range(ROUNDS):
                large.forget()
                for _ in ("cold", "warm"):
                    peaks.append(bench.ovenbird(large.pipeline, large.environment, "plan", peak=True).peak_mb or 0)
            if min(peaks) < 5:
                raise MeasureError(f"a plan of {min(peaks):.1f} MB was not seen at its work")
        figures.append(figure(bench.group, name, max(peaks), "MB", None, goal, spread(peaks, 1)))
    return figures
