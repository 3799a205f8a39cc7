# Owns: the figures of one whole run of tests/cloud/cluster. Must not: measure beside that run, or take the figures of an earlier one.
# Invariant: the run either passed every point and wrote its figures, or this measure fails.
"""Seconds from a KV change to the answer, from an event to all nodes, from launch to healthy; requests that failed; secrets found."""

from __future__ import annotations

import json
import os
import signal
import subprocess

from common import ROOT, TARGET, Bench, Figure, MeasureError, figure, indent

TEST = "cluster::small::a_cluster_finds_itself_is_configured_and_deployed_to"
GOALS = {"kv_to_answer_seconds": "<= 5", "deploy_failed_requests": "== 0", "secrets_found": "== 0"}


def unit(name: str) -> str:
    if name.endswith("_seconds") or name.startswith("dry_run_seconds."):
        return "s"
    return "requests" if name.endswith("_requests") else "places"


def measure(bench: Bench) -> list[Figure]:
    path = TARGET / "cluster.json"
    path.unlink(missing_ok=True)
    bench.note("the images are built and the points proved twice: about 25 min")
    # A session of its own: ended from outside, the test does not end what it started, and ovenbird cleans up only when it is asked.
    run = subprocess.Popen(
        ["cargo", "test", "--locked", "--quiet", "--test", "cloud", "--", "--exact", TEST], start_new_session=True,
        cwd=ROOT, env=os.environ | {"OVENBIRD_PROOF": "1"}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        said, _ = run.communicate()
    except BaseException:
        os.killpg(run.pid, signal.SIGINT)
        run.communicate()
        raise
    if run.returncode != 0 or not path.exists():
        raise MeasureError(f"the cluster did not hold:\n{indent(said[-6000:])}")
    figures = json.loads(path.read_text())
    if missing := sorted(set(GOALS) - set(figures)):
        raise MeasureError(f"{path} has no {', '.join(missing)}")
    return [figure(bench.group, name, value, unit(name), goal=GOALS.get(name)) for name, value in figures.items()]
