# Owns: the time of a plan with nothing to do over a large tree. Must not: spare the plan any part of its work.
# Invariant: each round times the plan and git one right after the other, on files that both have just read.
"""`warm_plan_over_git_status`."""

from __future__ import annotations

from common import Bench, Figure, figure, median, spread
from trees import Built, git_status

ROUNDS = 21


def measure(bench: Bench) -> list[Figure]:
    figures = []
    for every_role, name, goal in ((False, "warm_plan_over_git_status", "<= 3 x"), (True, "warm_plan_over_git_status.every_role", None)):
        with Built(bench, every_role=every_role) as large:
            bench.ovenbird(large.pipeline, large.environment, "plan")
            git_status(large.pipeline)
            plans, gits = [], []
            for _ in range(ROUNDS):
                plans.append(bench.ovenbird(large.pipeline, large.environment, "plan").seconds)
                gits.append(git_status(large.pipeline))
        about = f"plan {spread(plans)}; git status {spread(gits)}"
        figures.append(figure(bench.group, name, median(plans), "s", median(gits), goal, about))
    return figures
