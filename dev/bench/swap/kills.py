# Owns: kill -9 at random moments of a swap and of the way back, under a client. Must not: mend anything by hand.
# Invariant: after each three kills the swap is run to its end, and has to say that it did.
"""`kills_not_resumed`, and failed requests meanwhile."""

from __future__ import annotations

import random

from common import Bench, Figure, LocalEc2, figure
from swapping import Client, Stage

KILLS = 100
# A little longer than a swap takes here, so that every moment of one is hit.
LONGEST = 30.0


def measure(bench: Bench) -> list[Figure]:
    chance = random.Random(20261122)
    kills = not_resumed = tries = 0
    with LocalEc2(bench, instant=False) as ec2:
        stage = Stage(bench, ec2, "kills")
        with Client(stage.live) as client:
            while kills < KILLS:
                tries += 1
                kills += stage.killed(chance, LONGEST, "rollback" if tries % 4 == 0 else "run")
                if tries % 3:
                    continue
                ran = stage.swap("run", ok=False)
                if ran.code != 0 or not stage.stands().startswith("steady"):
                    not_resumed += 1
                    bench.note(f"after {kills} kills: exit {ran.code}\n{ran.output[-3000:]}")
                stage.emit_and_push()
        for why in client.failed[:5]:
            bench.note(f"failed: {why}")
    return [
        figure(bench.group, "kills_not_resumed", not_resumed, "swaps", None, "== 0", f"{kills} kills"),
        figure(bench.group, "failed_requests.kills", len(client.failed), "requests", None, "== 0", f"{client.answers} answers"),
    ]
