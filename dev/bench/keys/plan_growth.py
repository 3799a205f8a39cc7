# Owns: how time and memory of a plan grow with the tree. Must not: judge either size by itself.
# Invariant: the large tree has ten times the roles, files and roles of a stage; the stages are as many.
"""`plan_growth`."""

from __future__ import annotations

from common import Bench, Figure, figure, median, spread
from trees import ROLES, Built

ROUNDS = 7
TIMES = 10


def measure(bench: Bench) -> list[Figure]:
    seconds, peaks = [], []
    for roles in (ROLES, ROLES * TIMES):
        with Built(bench, roles=roles) as large:
            bench.ovenbird(large.pipeline, large.environment, "plan")
            ran = [bench.ovenbird(large.pipeline, large.environment, "plan") for _ in range(ROUNDS)]
            seconds.append([one.seconds for one in ran])
            peaks.append(max(bench.ovenbird(large.pipeline, large.environment, "plan", peak=True).peak_mb or 0 for _ in range(3)))
    small, big = (median(one) for one in seconds)
    about = f"{TIMES} times the inputs; {spread(seconds[1])} against {spread(seconds[0])}"
    return [
        # Linear is 10 at most: what a plan takes without any input is in both.
        figure(bench.group, "plan_growth", big, "s", small, f"<= {TIMES * 1.1:g} x", about),
        figure(bench.group, "plan_growth.peak_memory", peaks[1], "MB", peaks[0], None, f"{TIMES} times the inputs"),
    ]
