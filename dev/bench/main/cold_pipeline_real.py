# Owns: a whole cold run with real tools against the same tool runs one after the other. Must not: give either side work of the other's.
# Invariant: both sides make the same images from the same files with the same template, second pass included, on the same local EC2.
"""`cold_pipeline_real`."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

from common import BASE_IMAGE, REGION, ROOT, Bench, Figure, LocalEc2, MeasureError, docker, figure, shim
from pipelines import real_playbook, stage, write

APPS = ["one", "two", "three"]


def measure(bench: Bench) -> list[Figure]:
    stages = [stage("base", "source.debian_12"), *(stage(name, "stage.base") for name in APPS)]
    playbooks = {"base": real_playbook("base", 8)} | {name: real_playbook(name) for name in APPS}
    ours = write(bench.place("cold"), bench.tag, stages, playbooks)
    with LocalEc2(bench, instant=False) as ec2:
        environment = bench.environment() | ec2.environment()
        bench.ovenbird(ours, environment, "update")
        ran = bench.ovenbird(ours, environment, "build")
        images = len(ec2.control("GET", "left")["images"])
        if images != 1 + len(APPS):
            raise MeasureError(f"{images} images in place of {1 + len(APPS)}:\n{ran.output}")
        by_hand = ByHand(bench, ours, ec2)
        began = time.perf_counter()
        by_hand.stage("base", None)
        for name in APPS:
            by_hand.stage(name, "base")
        seconds = time.perf_counter() - began
    bench.note(f"by hand: {', '.join(f'{name} {took:.1f} s' for name, took in by_hand.took.items())}")
    about = "against: the same Packer runs by hand, one after the other"
    return [figure(bench.group, "cold_pipeline_real", ran.seconds, "s", seconds, None, about)]


class ByHand:
    """What a script without ovenbird would do: a dry run with a second pass in Docker, then the AMI, stage by stage."""

    def __init__(self, bench: Bench, pipeline: Path, ec2: LocalEc2) -> None:
        self.bench, self.pipeline, self.ec2 = bench, pipeline, ec2
        self.amis: dict[str, str] = {}
        self.took: dict[str, float] = {}
        wrapper = bench.place("twice")
        base = bench.environment() | ec2.environment()
        real = shutil.which("ansible-playbook", path=base["PATH"])
        shim(wrapper / "ansible-playbook", f'case " $* " in *" --version "*) exec {real} "$@";; esac\n{real} "$@" && exec {real} "$@"')
        self.build = base
        self.dry = base | {
            "PATH": f"{wrapper}:{base['PATH']}",
            "ANSIBLE_CONNECTION_PLUGINS": str(ROOT / "src/run/assets/connection_plugins"),
        }

    def packer(self, only: str, values: dict[str, object], environment: dict[str, str]) -> str:
        path = self.bench.folder / "by-hand.pkrvars.json"
        path.write_text(json.dumps(values))
        began = time.perf_counter()
        done = subprocess.run(
            ["packer", "build", "-color=false", f"-only={only}", f"-var-file={path}", "packer"],
            cwd=self.pipeline, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.took[f"{Path(str(values['playbook_file'])).stem} {only.split('.')[0]}"] = time.perf_counter() - began
        if done.returncode != 0:
            raise MeasureError(f"Packer by hand ended with {done.returncode}:\n{done.stdout[-3000:]}{done.stderr[-500:]}")
        return done.stdout

    def stage(self, name: str, parent: str | None) -> None:
        repository = f"ovenbird/{self.bench.tag}-by-hand/{name}"
        common = {"playbook_file": f"ansible/{name}.yml", "image_name": f"by-hand-{name}"}
        dry = common | {
            "docker_image": f"ovenbird/{self.bench.tag}-by-hand/{parent}:latest" if parent else BASE_IMAGE,
            "docker_repository": repository,
            "docker_tag": "latest",
            "docker_connection": "ovenbird_docker",
        }
        self.packer("docker.image", dry, self.dry)
        docker("image", "inspect", f"{repository}:latest")
        build = common | {
            "region": REGION,
            "ec2_endpoint": self.ec2.about["endpoint"],
            "source_ami": self.amis[parent] if parent else self.ec2.source_ami,
            "ssh_username": "admin",
            "instance_type": "t3.small",
            "polling_delay_seconds": 1,
        }
        log = self.packer("amazon-ebs.image", build, self.build)
        self.amis[name] = re.findall(rf"^{REGION}: (ami-[0-9a-f]+)$", log, re.M)[-1]
