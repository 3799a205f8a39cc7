# Owns: what all measures share: places, the environment that ovenbird runs in, the local EC2, timing, peak memory, figures.
# Must not: know any one measure or pipeline. Invariant: everything made here lies in one temporary folder or carries this run's
# name, and is gone when the run ends, also after an error.
"""Help for the measures beside this file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TOOLS = Path(os.environ.get("OVENBIRD_TOOLS", ROOT / ".tools"))
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
REGION = "ap-northeast-1"
SOURCE_OWNER, SOURCE_NAME = "136693071363", "debian-12-amd64-*"
BASE_IMAGE = os.environ.get("OVENBIRD_BASE_IMAGE", "ovenbird-base/debian:12")


class MeasureError(Exception):
    """Something needed for a figure did not work; the figure is then missing, never guessed."""


@dataclass
class Figure:
    """One line of bench.json. `ratio` is value / against; `goal` is how the value or the ratio is judged, `<= 1.03 x` for the
    ratio, `<= 0.3` for the value; without a goal it is reported only and `holds` is null."""

    group: str
    name: str
    value: float | None
    unit: str
    against: float | None = None
    ratio: float | None = None
    goal: str | None = None
    holds: bool | None = None
    about: str = field(default="", repr=False)

    def line(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "about"}


def figure(group: str, name: str, value: float, unit: str, against: float | None = None, goal: str | None = None, about: str = "") -> Figure:
    ratio = round(value / against, 4) if against else None
    holds = None
    if goal is not None:
        relation, limit, *of_ratio = goal.split()
        judged = ratio if of_ratio else value
        holds = judged is not None and (judged <= float(limit) if relation == "<=" else judged == float(limit))
    return Figure(group, name, round(value, 4), unit, None if against is None else round(against, 4), ratio, goal, holds, about)


@dataclass
class Ran:
    """One run of ovenbird."""

    seconds: float
    code: int
    output: str
    peak_mb: float | None = None


class Bench:
    """One run of the benchmarks."""

    def __init__(self, binary: Path, group: str) -> None:
        self.binary, self.group = binary, group
        self.folder = Path(tempfile.mkdtemp(prefix="ovenbird-bench-"))
        # Docker images of dry runs are found, and removed, by this.
        self.tag = f"bench{os.getpid()}"
        self.notes: list[str] = []

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        remove_docker(self.tag)
        shutil.rmtree(self.folder, ignore_errors=True)

    def place(self, name: str) -> Path:
        """An empty folder."""
        path = self.folder / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        return path

    def note(self, text: str) -> None:
        print(f"    {text}", flush=True)

    def environment(self, *first: Path, **more: str) -> dict[str, str]:
        """What ovenbird is started with: nothing of the person's own AWS, Ansible or Packer settings."""
        path = [str(one) for one in (*first, self.binary.parent, TOOLS / "bin")]
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        base = {"PATH": ":".join([*path, os.environ["PATH"]]), "HOME": str(home), "LANG": "C.UTF-8", "TERM": "dumb"}
        base["PACKER_PLUGIN_PATH"] = str(TOOLS / "plugins")
        for name in ("PACKER_PLUGIN_PATH", "DOCKER_HOST", "CHECKPOINT_DISABLE"):
            if name in os.environ:
                base[name] = os.environ[name]
        return base | more

    def ovenbird(self, pipeline: Path, environment: dict[str, str], *arguments: str, ok: bool = True, peak: bool = False) -> Ran:
        """Runs it to its end. Output goes to a file, as in CI: a pipe that we read late would slow it down."""
        with tempfile.TemporaryFile(dir=self.folder) as out:
            began = time.perf_counter()
            child = subprocess.Popen(
                [str(self.binary), *arguments], cwd=pipeline, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
            watch = PeakMemory(child.pid) if peak else None
            try:
                code = child.wait(timeout=1800)
            except BaseException:
                child.send_signal(signal.SIGINT)
                child.wait(timeout=120)
                raise
            seconds = time.perf_counter() - began
            out.seek(0)
            text = out.read().decode("utf-8", "replace")
        if ok and code != 0:
            raise MeasureError(f"`ovenbird {' '.join(arguments)}` ended with {code}:\n{indent(text[-4000:])}")
        return Ran(seconds, code, text, watch.end() if watch else None)


class PeakMemory:
    """VmHWM of a process, read until it ends. The kernel's own high-water mark: only what grew in its last hundredth of a second
    can be missed. (Not ru_maxrss: that one starts at the size of the process that forked it.)"""

    def __init__(self, pid: int) -> None:
        self.pid, self.peak = pid, 0
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()

    def _watch(self) -> None:
        while True:
            try:
                text = Path(f"/proc/{self.pid}/status").read_text()
            except OSError:
                return
            line = next((one for one in text.splitlines() if one.startswith("VmHWM:")), None)
            if line is None:  # a zombie has no memory
                return
            self.peak = max(self.peak, int(line.split()[1]))
            time.sleep(0.01)

    def end(self) -> float:
        self.thread.join(timeout=5)
        return self.peak / 1024


class LocalEc2:
    """A local EC2 of this run's own."""

    def __init__(self, bench: Bench, instant: bool) -> None:
        self.bench, self.instant = bench, instant

    def __enter__(self) -> LocalEc2:
        command = [str(ROOT / "tests/cloud/local-ec2"), "up", *(["--instant"] if self.instant else [])]
        self.log = open(self.bench.folder / "local-ec2.log", "wb")  # noqa: SIM115: closed with the server
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise MeasureError(f"the local EC2 did not start:\n{(self.bench.folder / 'local-ec2.log').read_text()}")
        self.about = json.loads(line)
        newest = max(name for name in self.about["images"][REGION] if name.startswith("debian-12-amd64"))
        self.source_ami = self.about["images"][REGION][newest]
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=120)
        self.process.stdout.close()
        self.log.close()

    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.about["endpoint"], "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }  # fmt: skip

    def control(self, method: str, path: str) -> Any:
        request = urllib.request.Request(f"{self.about['control']}/{path}", method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def calls_of(self, agent: str) -> dict[str, int]:
        """Action → count since the last reset."""
        return self.control("GET", "calls")["by_agent"].get(agent, {})


class FakePacker:
    """A folder for PATH in which `packer` is tests/fakes/packer with these rules."""

    def __init__(self, folder: Path, rules: list[dict[str, Any]]) -> None:
        self.folder, self.record = folder, folder / "record.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        self.rules(rules)
        fake = ROOT / "tests/fakes/packer"
        # The interpreter by its own path: a `python3` that is itself a script (pyenv) would cost a quarter of a second. Its life
        # begins here, by the clock that Python calls monotonic (as long as the machine was not suspended).
        settings = f'FAKE_PACKER_SETTINGS={folder}/fake-packer.json FAKE_PACKER_BEGAN="$began"'
        shim(folder / "packer", f'read -r began _ </proc/uptime\n{settings} exec {sys.executable} -IS {fake} "$@"')

    def rules(self, rules: list[dict[str, Any]]) -> None:
        (self.folder / "fake-packer.json").write_text(json.dumps({"record": str(self.record), "rules": rules}))

    def ran(self) -> list[dict[str, Any]]:
        """What ran since the last look, oldest end first."""
        if not self.record.exists():
            return []
        lines = [json.loads(line) for line in self.record.read_text().splitlines()]
        self.record.unlink()
        return lines


def shim(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def median(values: list[float]) -> float:
    return statistics.median(values)


def spread(values: list[float], digits: int = 3) -> str:
    return f"{min(values):.{digits}f}…{max(values):.{digits}f}, n={len(values)}"


def indent(text: str) -> str:
    return "\n".join(f"      {line}" for line in text.splitlines())


def command(arguments: list[str], cwd: Path, environment: dict[str, str] | None = None, text: str | None = None) -> str:
    """Runs a short command; its failure is the measure's."""
    done = subprocess.run(
        arguments, cwd=cwd, env=environment, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        raise MeasureError(f"`{' '.join(arguments)}` ended with {done.returncode}:\n{indent(done.stdout[-4000:])}")
    return done.stdout


def docker(*arguments: str) -> str:
    return command(["docker", *arguments], ROOT)


def remove_docker(pipeline: str) -> None:
    """What dry runs of pipelines of this name left: containers first, then images."""
    try:
        for container in docker("ps", "--all", "--quiet", "--filter", f"label=ovenbird.pipeline={pipeline}").split():
            subprocess.run(["docker", "rm", "--force", container], capture_output=True, check=False)
        names = docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    except (MeasureError, OSError):
        return
    ours = [name for name in names if name.startswith(f"ovenbird/{pipeline}")]
    if ours:
        subprocess.run(["docker", "rmi", "--force", *ours], capture_output=True, check=False)
