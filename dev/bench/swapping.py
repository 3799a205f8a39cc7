# Owns: a swap that can be measured: local EC2, the local environment applied with real Terraform, a checkout with a remote, and a
# client that asks the live load balancer without pause. Must not: judge. Invariant: every failed request is kept with its reason.
"""`Stage` and `Client`, for the measures in swap/."""

from __future__ import annotations

import http.client
import json
import random
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from common import ROOT, TOOLS, Bench, LocalEc2, MeasureError

CONNECTIONS = 20
ENVIRONMENT = Path("terraform/environments/local")
TFVARS = ENVIRONMENT / "variables.tfvars"
LEFT = (".terraform", ".terraform.lock.hcl", "terraform.tfstate", "terraform.tfstate.backup")


class Client:
    """Connections that ask all the time, as any HTTP client does: a kept one that was closed before it answered is opened again."""

    def __init__(self, address: str, connections: int = CONNECTIONS) -> None:
        self.address, self.failed, self.answers, self.longest = address, [], 0, 0.0
        self.amis: dict[str, int] = {}
        self._over, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(connections)]

    def __enter__(self) -> Client:
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for one in self._threads:
            one.join()

    def _ask(self) -> None:
        link: http.client.HTTPConnection | None = None
        while not self._over.wait(0.01):
            began, reused, why, ami = time.perf_counter(), link is not None, "", ""
            for again in (True, False):
                try:
                    link = link or http.client.HTTPConnection(self.address, 80, timeout=20)
                    link.request("GET", "/swap")
                    answer = link.getresponse()
                    body = answer.read()
                    if answer.status == 200:
                        ami = json.loads(body)["ami"]
                    else:
                        why = f"{answer.status}: {body[:200]!r}"
                    if answer.will_close:
                        link.close()
                        link = None
                    break
                except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
                    link = None
                    if not (again and reused):
                        why = repr(error)
                        break
                except (OSError, http.client.HTTPException, ValueError) as error:
                    link, why = None, repr(error)
                    break
            took = time.perf_counter() - began
            with self._lock:
                self.longest = max(self.longest, took)
                if why:
                    self.failed.append(why)
                else:
                    self.answers += 1
                    self.amis[ami] = self.amis.get(ami, 0) + 1


class Stage:
    """Blue serves with two instances; the next AMI is emitted."""

    def __init__(self, bench: Bench, ec2: LocalEc2, name: str) -> None:
        self.bench, self.ec2, self.name = bench, ec2, name
        self.folder = bench.place(name)
        self.checkout = self.folder / "checkout"
        schema = {"TF_CLI_CONFIG_FILE": str(TOOLS / "terraformrc")}
        self.environment = bench.environment(**ec2.environment(), **schema)
        self.images = 0
        self._write()
        self.terraform("init", "-input=false")
        self.terraform("apply", "-input=false", "-auto-approve", "-var-file=variables.tfvars")
        urls = json.loads(self.terraform("output", "-json", "urls"))
        self.live, self.test = (urls[one].removeprefix("http://") for one in ("elb-prd", "elb-test"))
        file = self.checkout / "ovenbird.hcl"
        file.write_text(file.read_text().replace("http://TEST", f"http://{self.test}"))
        self._record()
        self._serves()

    def _write(self) -> None:
        shutil.copytree(ROOT / "tests/fixtures/swap", self.checkout)
        shutil.copytree(ROOT / "packer", self.checkout / "packer")
        for part in ("modules", "environments/local"):
            shutil.copytree(ROOT / "terraform" / part, self.checkout / "terraform" / part, ignore=shutil.ignore_patterns(*LEFT))
        (self.checkout / ".gitignore").write_text(".ovenbird/\n.terraform/\n*.tfstate*\n")
        self.old = self.image()
        sides = {"blue": ('"2"', '"4"', "elb-prd"), "green": ("0", "0", "elb-test")}
        lines = ["# Which AMI serves, and where."]
        for colour, (least, most, balancer) in sides.items():
            lines += [f'{colour}_ami_id = "{self.old}"', f"{colour}_min_size = {least}", f"{colour}_max_size = {most}"]
            lines += [f'{colour}_elb_name = "{balancer}"']
        (self.checkout / TFVARS).write_text("\n".join(lines) + "\n")
        # A busy machine must not have its instances replaced for that.
        (self.checkout / ENVIRONMENT / "terraform.tfvars").write_text("health_check_grace_period = 1200\n")
        self.new = self.emit()

    def _record(self) -> None:
        remote = self.folder / "remote.git"
        subprocess.run(["git", "init", "--quiet", "--bare", str(remote)], check=True, env=self.environment)
        for words in ("init --quiet", "config user.name bench", "config user.email bench@localhost", "add --all"):
            self.git(*words.split())
        self.git("commit", "--quiet", "--message", "Begin")
        self.git("remote", "add", "origin", str(remote))
        self.git("push", "--quiet", "--set-upstream", "origin", "HEAD")

    def _serves(self) -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"http://{self.live}/", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.2)
        raise MeasureError("blue does not serve")

    def control(self, method: str, path: str, body: Any) -> Any:
        request = urllib.request.Request(f"{self.ec2.about['control']}/{path}", json.dumps(body).encode(), method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def image(self) -> str:
        """A light AMI, sealed as a build of this pipeline."""
        self.images += 1
        key = f"sha256:{self.images:064x}"
        tags = {"ovenbird:key": key, "ovenbird:verified": key, "ovenbird:pipeline": "swap", "ovenbird:stage": "web"}
        return str(self.control("POST", "light", {"name": f"{self.name}-{self.images}", "tags": tags})["id"])

    def emit(self) -> str:
        image = self.image()
        (self.checkout / ENVIRONMENT / "images.auto.tfvars").write_text(f'web_ami_id = "{image}"\napi_ami_id = ""\n')
        return image

    def emit_and_push(self) -> str:
        image = self.emit()
        self.git("commit", "--quiet", "--all", "--message", "Emit another image")
        self.git("push", "--quiet")
        return image

    def git(self, *words: str) -> str:
        ran = subprocess.run(["git", *words], cwd=self.checkout, env=self.environment, capture_output=True, text=True)
        if ran.returncode:
            raise MeasureError(f"git {' '.join(words)}: {ran.stderr}")
        return ran.stdout

    def terraform(self, *words: str) -> str:
        ran = subprocess.run(["terraform", *words], cwd=self.checkout / ENVIRONMENT, env=self.environment, capture_output=True, text=True)
        if ran.returncode:
            raise MeasureError(f"terraform {' '.join(words)}: {ran.stdout}\n{ran.stderr}")
        return ran.stdout

    def swap(self, *words: str, ok: bool = True) -> Any:
        return self.bench.ovenbird(self.checkout, self.environment, "swap", "local", *words, ok=ok)

    def status(self) -> Any:
        ran = subprocess.run(
            [str(self.bench.binary), "swap", "local", "status", "--json"], cwd=self.checkout, env=self.environment, capture_output=True, text=True
        )
        return json.loads(ran.stdout)

    def stands(self) -> str:
        """`steady blue` …, once tfvars, Terraform and AWS say the same."""
        status = self.status()
        if status["differences"] or not status["state"]:
            raise MeasureError(f"not the same everywhere: {json.dumps(status, indent=1)}")
        state = status["state"]
        return f"{state['state']} {state.get('live') or state.get('new')}"

    def killed(self, random_: random.Random, most: float, *words: str) -> bool:
        """Runs it and kills it with -9 after a random time; `False`: it had ended before."""
        child = subprocess.Popen(
            [str(self.bench.binary), "swap", "local", *words], cwd=self.checkout, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            child.wait(timeout=random_.random() * most)
            return False
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
            return True
