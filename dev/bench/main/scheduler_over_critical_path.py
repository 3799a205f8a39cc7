# Owns: how close a pipeline's wall time comes to its critical path. Must not: let the machine's cores be the limit (steps sleep).
# Invariant: against is computed from the seconds that were slept, not from what ovenbird says.
"""`scheduler_over_critical_path`."""

from __future__ import annotations

from common import Bench, FakePacker, Figure, LocalEc2, MeasureError, figure
from pipelines import small_playbook, stage, write

APPS = 8
DRY_BASE, BUILD_BASE, DRY_APP = 5.0, 20.0, 6.0
BUILD_APP = [10.0 + 2.0 * at for at in range(APPS)]  # the last one is the longest: 24 s


def measure(bench: Bench) -> list[Figure]:
    names = [f"app{at}" for at in range(APPS)]
    once = "dry_run { idempotent = false }"  # the fake has no playbook that could be repeated
    stages = [stage("base", "source.debian_12", once), *(stage(name, "stage.base", once) for name in names)]
    pipeline = write(bench.place("wide"), bench.tag, stages, {name: small_playbook(name) for name in ("base", *names)})
    rules = [{"stage": "base", "kind": "dry-run", "seconds": DRY_BASE}, {"stage": "base", "kind": "build", "seconds": BUILD_BASE}]
    rules += [{"kind": "dry-run", "seconds": DRY_APP}]
    rules += [{"stage": name, "kind": "build", "seconds": seconds} for name, seconds in zip(names, BUILD_APP, strict=True)]
    fake = FakePacker(bench.folder / "fake", [{"seconds": 0}])
    with LocalEc2(bench, instant=True) as ec2:
        environment = bench.environment(fake.folder) | ec2.environment()
        bench.ovenbird(pipeline, environment, "update")
        # As at a user's: built before, so that the versions of the tools are known; then the base changed, and all is built anew.
        bench.ovenbird(pipeline, environment, "build", "-j", str(APPS + 1))
        fake.ran()
        fake.rules(rules)
        (pipeline / "ansible/base.yml").write_text(small_playbook("base") + "# changed\n")
        ran = bench.ovenbird(pipeline, environment, "build", "-j", str(APPS + 1))
    steps = {(one["stage"], one["kind"]): one for one in fake.ran()}
    if len(steps) != 2 * (APPS + 1):
        raise MeasureError(f"{len(steps)} steps in place of {2 * (APPS + 1)}:\n{ran.output}")
    # The longest of what has to happen one after the other: the apps' dry runs fit beside the base's AMI.
    path = DRY_BASE + BUILD_BASE + max(BUILD_APP)
    own = [one["end"] - one["begin"] for one in (steps["base", "dry-run"], steps["base", "build"], steps[names[-1], "build"])]
    gaps = [
        steps["base", "build"]["begin"] - steps["base", "dry-run"]["end"],
        steps[names[-1], "build"]["begin"] - steps["base", "build"]["end"],
    ]
    bench.note(
        f"the fake Packers of the path lived {', '.join(f'{seconds:.2f}' for seconds in own)} s; "
        f"between them {', '.join(f'{seconds:.2f}' for seconds in gaps)} s; the rest is start and end of the run"
    )
    return [figure(bench.group, "scheduler_over_critical_path", ran.seconds, "s", path, "<= 1.03 x", f"base + {APPS} apps, -j {APPS + 1}")]
