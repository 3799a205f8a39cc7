# Owns: what ovenbird adds to the Packer run of one stage. Must not: count the fake Packer's interpreter as Packer's.
# Invariant: every round builds something new, and checks that one image was made by one Packer run.
"""`overhead_one_stage`."""

from __future__ import annotations

from common import Bench, FakePacker, Figure, LocalEc2, MeasureError, figure, median, spread
from pipelines import small_playbook, stage, write

ROUNDS, SECONDS = 7, 1.0


def measure(bench: Bench) -> list[Figure]:
    fake = FakePacker(bench.folder / "fake", [{"seconds": SECONDS}])
    pipeline = write(bench.place("one"), bench.tag, [stage("only", "source.debian_12")], {"only": small_playbook("only")})
    playbook = pipeline / "ansible/only.yml"
    rest, lifetimes, calls = [], [], {}
    with LocalEc2(bench, instant=True) as ec2:
        environment = bench.environment(fake.folder) | ec2.environment()
        bench.ovenbird(pipeline, environment, "update")
        for at in range(ROUNDS + 1):
            playbook.write_text(f"{small_playbook('only')}# round {at}\n")
            ec2.control("POST", "calls/reset")
            ran = bench.ovenbird(pipeline, environment, "build", "--no-dry-run")
            builds = [one for one in fake.ran() if one["kind"] == "build"]
            if len(builds) != 1:
                raise MeasureError(f"{len(builds)} Packer builds in place of one:\n{ran.output}")
            if at == 0:  # caches of versions and of what parsing found are made once
                continue
            lifetimes.append(builds[0]["end"] - builds[0]["begin"])
            rest.append(ran.seconds - lifetimes[-1])
            calls = ec2.calls_of("ovenbird")
    listed = ", ".join(f"{action} {count}" for action, count in sorted(calls.items()))
    # Against is what it stands beside: the lifetime of the Packer child. The ratio says little, as the child only sleeps.
    return [
        figure(bench.group, "overhead_one_stage", median(rest), "s", median(lifetimes), "<= 1.0", spread(rest)),
        figure(bench.group, "overhead_one_stage.ec2_calls", sum(calls.values()), "calls", None, "<= 8", listed),
    ]
