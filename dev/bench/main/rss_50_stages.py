# Owns: how much memory the ovenbird process takes when much happens at once. Must not: count children.
# Invariant: it is checked that all stages ran at the same time and that the flood reached the log whole.
"""`rss_50_stages`."""

from __future__ import annotations

import shutil
from pathlib import Path

from common import Bench, FakePacker, Figure, LocalEc2, MeasureError, figure
from pipelines import small_playbook, stage, write

STAGES, FLOOD, SECONDS = 50, 1_000_000_000, 20.0


def measure(bench: Bench) -> list[Figure]:
    names = [f"s{at:02}" for at in range(STAGES)]
    pipeline = write(
        bench.place("fifty"), bench.tag, [stage(name, "source.debian_12") for name in names], {name: small_playbook(name) for name in names}
    )
    fake = FakePacker(bench.folder / "fake", [])
    peaks = []
    with LocalEc2(bench, instant=True) as ec2:
        environment = bench.environment(fake.folder) | ec2.environment()
        bench.ovenbird(pipeline, environment, "update")
        for flood in (0, FLOOD):
            fake.rules([{"stage": names[0], "seconds": SECONDS, "bytes": flood}, {"seconds": SECONDS}])
            for name in names:
                (pipeline / f"ansible/{name}.yml").write_text(f"{small_playbook(name)}# flood of {flood}\n")
            ran = bench.ovenbird(pipeline, environment, "build", "--no-dry-run", "-j", str(STAGES), peak=True)
            steps = fake.ran()
            at_once = sum(one["begin"] < min(step["end"] for step in steps) for one in steps)
            if len(steps) != STAGES or at_once < STAGES:
                raise MeasureError(f"{len(steps)} builds, {at_once} of them at once; wanted are {STAGES}")
            largest = biggest_file(pipeline / ".ovenbird")
            bench.note(f"flood of {flood / 1e9:.0f} GB: peak {ran.peak_mb:.1f} MB, {ran.seconds:.1f} s, largest log {largest / 1e9:.2f} GB")
            if largest < flood:
                raise MeasureError(f"the log has {largest} of {flood} bytes")
            peaks.append(ran.peak_mb)
            shutil.rmtree(pipeline / ".ovenbird/runs", ignore_errors=True)
    about = f"{STAGES} stages at once and 1 GB of output from one; against: without that output"
    return [figure(bench.group, "rss_50_stages", peaks[1], "MB", peaks[0], "<= 60", about)]


def biggest_file(folder: Path) -> int:
    return max((path.stat().st_size for path in folder.rglob("*") if path.is_file()), default=0)
