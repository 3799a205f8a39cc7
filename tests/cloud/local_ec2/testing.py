# Owns: what the tests of the local EC2 share: a server in a process of its own, clients, ssh.
# Must not: be imported by the server; assert.
# Invariant: a server started here ends with its test class, also when a test fails.
"""Help for the tests beside this file."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Callable

import boto3
from botocore.config import Config

LAUNCHER = Path(__file__).parent.parent / "local-ec2"
NEWEST = "debian-12-amd64-20261116-2299"


class Running:
    """`local-ec2 up` as a test sees it."""

    def __init__(self, *args: str) -> None:
        self.process = subprocess.Popen([str(LAUNCHER), "up", *args], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"local-ec2 up ended with {self.process.wait()}")
        self.about: dict[str, Any] = json.loads(line)
        self.source = self.about["images"]["ap-northeast-1"][NEWEST]

    def end(self) -> int:
        self.process.terminate()
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        return code

    def client(self, region: str = "ap-northeast-1", service: str = "ec2") -> Any:
        return boto3.client(
            service, region_name=region, endpoint_url=self.about["endpoint"],
            aws_access_key_id="test", aws_secret_access_key="test",
            # No retries: a test wants to see the first answer.
            config=Config(retries={"total_max_attempts": 1}, read_timeout=60),
        )  # fmt: skip

    def control(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.about['control']}/{path}", data=data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)

    def knobs(self, **spec: Any) -> Any:
        return self.control("POST", "knobs", spec)

    def docker_things(self) -> list[str]:
        """Containers, images and networks that carry this server's label."""
        wanted = f"label=ovenbird.local-ec2={self.about['id']}"
        found = []
        for what in (["ps", "--all", "--quiet"], ["images", "--quiet"], ["network", "ls", "--quiet"]):
            out = subprocess.run(["docker", *what, "--filter", wanted], capture_output=True, text=True, check=True)
            found += out.stdout.split()
        return found


def until(what: Callable[[], Any], seconds: float, step: float = 0.1) -> Any:
    """Ask until the answer is true; gives it back, or raises."""
    deadline = time.monotonic() + seconds
    while True:
        if answer := what():
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s")
        time.sleep(step)


def ssh(key: Path, address: str, command: str) -> subprocess.CompletedProcess[str]:
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR", "BatchMode=yes", "ConnectTimeout=2"]
    return subprocess.run(
        ["ssh", "-i", str(key), *(part for one in options for part in ("-o", one)), f"admin@{address}", command],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
