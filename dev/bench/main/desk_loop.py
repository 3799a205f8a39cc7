# Owns: what a developer waits for after one file of a role changed. Must not: call EC2; a dry run needs none.
# Invariant: A and B take turns, each after a change of the same file, and both really write the changed file into a container.
"""`desk_loop`."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

from common import Bench, Figure, MeasureError, TOOLS, ROOT, docker, figure, median, spread
from pipelines import example

ROUNDS = 5
CHANGED = "ansible/roles/nginx/templates/site.conf.j2"
WRITTEN = "cat /etc/nginx/sites-available/*"


def measure(bench: Bench) -> list[Figure]:
    pipeline = example(bench.place("desk"), bench.tag)
    environment = bench.environment()
    began = time.perf_counter()
    bench.ovenbird(pipeline, environment, "dry-run", "web")
    bench.note(f"full dry run of base and web, from nothing: {time.perf_counter() - began:.1f} s")
    phases = phases_of(pipeline, "web")
    bench.ovenbird(pipeline, environment, "dry-run", "--keep", "web")
    labels = (f"label=ovenbird.pipeline={bench.tag}", "label=ovenbird.stage=web", "label=ovenbird.kept")
    kept = docker("ps", "--quiet", *(f"--filter={one}" for one in labels)).strip()
    straight = Straight(bench, pipeline, environment)
    try:
        straight.run()
        ours, theirs = [], []
        for at in range(ROUNDS):
            touch(pipeline, f"{at} for ovenbird")
            ran = bench.ovenbird(pipeline, environment, "dry-run", "--keep", "web")
            ours.append(ran.seconds)
            if f"{at} for ovenbird" not in (site := site_in(kept)):
                raise MeasureError(f"`dry-run --keep` did not write the change of {CHANGED}:\n{ran.output}\nin {kept}:\n{site}")
            touch(pipeline, f"{at} for ansible")
            theirs.append(straight.run())
    finally:
        docker("rm", "--force", "--volumes", straight.container)
    return [
        figure(
            bench.group, "desk_loop", median(ours), "s", median(theirs), "<= 1.2 x",
            f"dry-run --keep {spread(ours, 2)}; ansible-playbook {spread(theirs, 2)}",
        ),  # fmt: skip
        figure(bench.group, "desk_loop.first_converge", phases["converge"], "s", None, None, "full dry run of web"),
        figure(bench.group, "desk_loop.second_pass", phases["idempotence"], "s", phases["converge"], None, "against: its first converge"),
    ]


def touch(pipeline: Path, text: str) -> None:
    with (pipeline / CHANGED).open("a") as file:
        file.write(f"# {text}\n")


def phases_of(pipeline: Path, stage: str) -> dict[str, float]:
    """Seconds by phase of this stage's verdict."""
    for path in (pipeline / ".ovenbird").rglob("*.json"):
        try:
            verdict = json.loads(path.read_text())
        except (json.JSONDecodeError, UnicodeDecodeError):
            continue
        if isinstance(verdict, dict) and "not_idempotent" in verdict and stage in json.dumps(verdict.get("node")):
            return verdict["seconds"]
    raise MeasureError(f"no verdict of `{stage}` below {pipeline}/.ovenbird")


class Straight:
    """`ansible-playbook` as one would type it: into a container of the same image, by the same connection plugin."""

    def __init__(self, bench: Bench, pipeline: Path, environment: dict[str, str]) -> None:
        self.pipeline = pipeline
        image = docker("images", "--format", "{{.ID}}", f"ovenbird/{bench.tag}/base").split()[0]
        self.container = docker(
            "run", "-d", "--cap-add=SYS_ADMIN", "--security-opt=seccomp=unconfined", "--tmpfs=/run", "--tmpfs=/run/lock",
            "--volume=/sys/fs/cgroup:/sys/fs/cgroup:ro", "-e", "container=docker", "-e", "ANSIBLE_UNSAFE_WRITES=1",
            f"--label=ovenbird.pipeline={bench.tag}", "--entrypoint=", "--", image, "/sbin/init",
        ).strip()  # fmt: skip
        docker("exec", self.container, "timeout", "60", "/bin/sh", "-c", "systemctl is-system-running --wait; :")
        inventory = bench.folder / "inventory"
        inventory.write_text(
            f"default ansible_connection=ovenbird_docker ansible_host={self.container} ansible_user=root\n[web]\ndefault\n"
        )
        self.environment = environment | {"ANSIBLE_CONNECTION_PLUGINS": str(ROOT / "src/run/assets/connection_plugins")}
        program = shutil.which("ansible-playbook", path=environment["PATH"]) or str(TOOLS / "bin/ansible-playbook")
        self.command = [
            program, "-i", str(inventory), "-e", "packer_build_name=image", "-e", "packer_builder_type=docker",
            "-e", "nginx_greeting=Hello", "ansible/web.yml",
        ]  # fmt: skip

    def run(self) -> float:
        before = self.written()
        began = time.perf_counter()
        done = subprocess.run(
            self.command, cwd=self.pipeline, env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        seconds = time.perf_counter() - began
        if done.returncode != 0:
            raise MeasureError(f"ansible-playbook ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-1000:]}")
        if self.written() == before:
            raise MeasureError(f"ansible-playbook did not write the change of {CHANGED}")
        return seconds

    def written(self) -> str:
        return site_in(self.container)


def site_in(container: str) -> str:
    """The changed file, as the container has it; empty before the first converge."""
    done = subprocess.run(["docker", "exec", container, "sh", "-c", WRITTEN], capture_output=True, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""
