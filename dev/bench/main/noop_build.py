# Owns: the time of a build with nothing to do, and the proof that it starts no process. Must not: count threads as processes.
# Invariant: every measured run calls nothing of EC2 but a lookup.
"""`noop_build`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from common import Bench, FakePacker, Figure, LocalEc2, MeasureError, command, figure, median, shim, spread
from pipelines import example

ROUNDS = 15
TOOLS = ("packer", "ansible-playbook", "ansible", "ansible-galaxy", "docker", "git", "terraform", "sh", "bash")
TRACED = "execve,execveat,fork,vfork,clone,clone3"


def measure(bench: Bench) -> list[Figure]:
    fake = FakePacker(bench.folder / "fake", [{"seconds": 0}])
    pipeline = example(bench.place("example"), bench.tag)
    with LocalEc2(bench, instant=True) as ec2:
        environment = bench.environment(fake.folder) | ec2.environment()
        bench.ovenbird(pipeline, environment, "update")
        bench.ovenbird(pipeline, environment, "build", "--no-dry-run")
        made = len(fake.ran())
        if made != 3:
            raise MeasureError(f"the example was to be 3 Packer builds, it was {made}")

        recorders, record = recording_tools(bench.place("recorders"))
        environment["PATH"] = f"{recorders}:{environment['PATH']}"
        ec2.control("POST", "calls/reset")
        seconds = [bench.ovenbird(pipeline, environment, "build").seconds for _ in range(ROUNDS)]
        calls = ec2.calls_of("ovenbird")
        strange = {action for action in calls if not action.startswith("Describe")}
        if strange:
            raise MeasureError(f"a build with nothing to do called {', '.join(sorted(strange))}")
        traced = processes(bench, pipeline, environment)
    for one in traced:
        bench.note(f"started: {one}")
    recorded = record.read_text().splitlines() if record.exists() else []
    if recorded:
        bench.note(f"tools started in {ROUNDS} builds and the traced one: {len(recorded)}, the first: {recorded[0]}")
    children = max(sum("execve" not in one for one in traced), -(-len(recorded) // (ROUNDS + 1)))
    per_build = ", ".join(f"{action} {count / ROUNDS:g}" for action, count in sorted(calls.items()))
    return [
        figure(bench.group, "noop_build", median(seconds), "s", None, "<= 0.3", f"{spread(seconds)}; a build: {per_build}"),
        figure(bench.group, "noop_build.children", children, "processes", None, "== 0", "strace, and tools on PATH that record"),
    ]


def recording_tools(folder: Path) -> tuple[Path, Path]:
    """A folder for PATH in which every tool notes that it was started, and fails."""
    record = folder / "started"
    for name in TOOLS:
        shim(folder / name, f'echo "$0 $*" >>{record}; exit 70')
    return folder, record


def processes(bench: Bench, pipeline: Path, environment: dict[str, str]) -> list[str]:
    """Children of one more run, as the kernel saw them. Threads are no children."""
    log = bench.folder / "strace"
    trace = ["strace", "-f", "-qq", "-e", f"trace={TRACED}", "-o", str(log), str(bench.binary), "build"]
    # strace itself is looked for on our own PATH, not among the recorders.
    done = subprocess.run(trace, cwd=pipeline, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MeasureError(f"under strace `ovenbird build` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    lines = log.read_text().splitlines()
    if not any(f'execve("{bench.binary}"' in line for line in lines):
        raise MeasureError(f"strace did not see ovenbird start: {command(['strace', '-V'], pipeline).splitlines()[0]}")
    return [line for line in lines if is_child(line, bench.binary)]


def is_child(line: str, binary: Path) -> bool:
    call = re.match(r"\d+\s+(\w+)\(", line)
    if call is None:
        return False
    if call.group(1).startswith("execve"):
        return f'execve("{binary}"' not in line
    return "CLONE_THREAD" not in line
