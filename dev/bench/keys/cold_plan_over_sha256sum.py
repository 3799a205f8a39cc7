# Owns: the time of a plan that has parsed nothing before, against hashing alone. Must not: leave anything of an earlier plan.
# Invariant: sha256sum hashes the same files, each of which is checked to be an input of some stage.
"""`cold_plan_over_sha256sum`."""

from __future__ import annotations

import json

from common import Bench, Figure, MeasureError, figure, median, spread
from trees import Built, Large, sha256sum

ROUNDS = 21


def measure(bench: Bench) -> list[Figure]:
    with Built(bench) as large:
        files = inputs(bench, large)
        if missing := sorted(set(large.files) - files):
            raise MeasureError(f"{len(missing)} of {len(large.files)} files are no inputs, the first: {missing[0]}")
        sha256sum(large.pipeline, large.files)
        plans, sums = [], []
        for _ in range(ROUNDS):
            large.forget()
            plans.append(bench.ovenbird(large.pipeline, large.environment, "plan").seconds)
            sums.append(sha256sum(large.pipeline, large.files))
    about = f"plan {spread(plans)}; sha256sum {spread(sums)}"
    return [figure(bench.group, "cold_plan_over_sha256sum", median(plans), "s", median(sums), "<= 1 x", about)]


def inputs(bench: Bench, large: Large) -> set[str]:
    """Files that are inputs of any stage."""
    found: set[str] = set()
    for name in large.stages:
        trees = json.loads(bench.ovenbird(large.pipeline, large.environment, "inputs", name, "--json").output)["trees"]
        for tree, entries in trees.items():
            found |= {f"{tree}/{entry}".rstrip("/") for entry, what in entries.items() if what["kind"] == "file"}
    return found
