# Owns: whole swaps under a client, ten in a row, and the way back from each state. Must not: turn a knob.
# Invariant: the client asks from before the first step until after the last gate.
"""`failed_requests`, the longest answer, and how long a swap takes."""

from __future__ import annotations

import statistics
import time

from common import Bench, Figure, LocalEc2, figure
from swapping import Client, Stage

SWAPS = 10


def measure(bench: Bench) -> list[Figure]:
    with LocalEc2(bench, instant=False) as ec2:
        stage = Stage(bench, ec2, "whole")
        seconds = []
        with Client(stage.live) as client:
            for turn in range(SWAPS):
                began = time.perf_counter()
                stage.swap("run")
                seconds.append(time.perf_counter() - began)
                bench.note(f"swap {turn + 1}: {seconds[-1]:.1f} s, {client.answers} answers, {len(client.failed)} failed")
                stage.emit_and_push()
        swaps = (client.answers, list(client.failed), client.longest)
        with Client(stage.live) as client:
            for steps in (1, 2, 3):
                for _ in range(steps):
                    stage.swap("next")
                while not stage.stands().startswith("steady"):
                    stage.swap("rollback")
        for why in (swaps[1] + client.failed)[:5]:
            bench.note(f"failed: {why}")
    return [
        figure(bench.group, "failed_requests", len(swaps[1]), "requests", None, "== 0", f"{SWAPS} swaps, {swaps[0]} answers"),
        figure(bench.group, "failed_requests.rollbacks", len(client.failed), "requests", None, "== 0", f"{client.answers} answers"),
        figure(bench.group, "longest_response", max(swaps[2], client.longest), "s"),
        figure(bench.group, "swap", statistics.median(seconds), "s", about="median; gates without soak"),
    ]
