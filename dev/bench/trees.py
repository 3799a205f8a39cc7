# Owns: the large tree that the group `keys` measures, and the EC2 that answers for it at once. Must not: measure.
# Invariant: the same arguments write the same bytes on every machine; every file of a role is an input of some stage.
"""Fifty stages of two hundred roles."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from common import Bench, FakePacker, LocalEc2, MeasureError
from pipelines import stage, write

STAGES, ROLES, FILES = 50, 200, 50
# Roles that every stage reads, and how many others it reads beside them: 2,000 files a stage, each role read by 8 stages or by all.
COMMON, OWN = 10, 30
TASKS = ("install", "configure", "service", "users", "logs")
# Of the files that a role sends, these stand in `files/` itself.
TEMPLATES, BESIDE = 12, 20
WORDS = "cache queue limit timeout port host user path level retry window buffer worker socket header token realm index shard volume".split()


@dataclass
class Large:
    """A tree whose images are all there, and what ovenbird is started with."""

    pipeline: Path
    environment: dict[str, str]
    stages: list[str]
    files: list[str]

    def forget(self) -> None:
        """Makes the next plan a cold one: all that ovenbird keeps in the checkout goes, but for the state."""
        for kept in (self.pipeline / ".ovenbird").iterdir():
            if kept.is_dir() and kept.name != "state":
                shutil.rmtree(kept)


def role_name(at: int) -> str:
    return f"role_{at:04}"


def text(source: random.Random, lines: int) -> str:
    return "".join(f"{source.choice(WORDS)}_{source.choice(WORDS)} = {source.randrange(10**9)}\n" for _ in range(lines))


def tasks(source: random.Random, role: str, part: str) -> str:
    """Eight tasks as people write them: packages, a template by name, one by variable, a loop, a block."""
    prefix = f"{role}_{part}"
    return f"""---
- name: Packages of {part}
  ansible.builtin.apt:
    name: "{{{{ {prefix}_packages }}}}"
    state: present
  register: {prefix}_installed

- name: Folder of {part}
  ansible.builtin.file:
    path: /etc/{role}/{part}
    state: directory
    owner: root
    mode: "0755"

- name: Main file of {part}
  ansible.builtin.template:
    src: t{source.randrange(TEMPLATES):02}.conf.j2
    dest: /etc/{role}/{part}/main.conf
    mode: "0644"
  notify: Restart {role}

- name: File that a variable names
  ansible.builtin.template:
    src: "{{{{ {prefix}_template }}}}"
    dest: /etc/{role}/{part}/named.conf
    mode: "0644"
  when: {prefix}_enabled | bool

- name: Parts of {part}
  ansible.builtin.copy:
    src: "{{{{ item }}}}.conf"
    dest: "/etc/{role}/{part}/{{{{ item }}}}.conf"
    mode: "0644"
  loop:
    - f{source.randrange(BESIDE):02}
    - f{source.randrange(BESIDE):02}
    - f{source.randrange(BESIDE):02}

- name: Careful part of {part}
  block:
    - name: Setting {source.choice(WORDS)}
      ansible.builtin.lineinfile:
        path: /etc/{role}/{part}/main.conf
        regexp: "^{source.choice(WORDS)}="
        line: "{source.choice(WORDS)}={{{{ {prefix}_limit | default({source.randrange(1000)}) }}}}"
  rescue:
    - name: Say so
      ansible.builtin.debug:
        msg: "{part} of {role} keeps its default"

- name: Check of {part}
  ansible.builtin.command: /bin/true
  changed_when: false
  when:
    - {prefix}_enabled | bool
    - ansible_facts.os_family == "Debian"
"""


def template(source: random.Random, role: str, lines: int) -> str:
    body = "".join(
        f"{source.choice(WORDS)} = {{{{ {role}_{source.choice(TASKS)}_limit | default({source.randrange(1000)}) }}}}\n" for _ in range(lines)
    )
    return f"# {{{{ ansible_managed }}}}\n{{% if {role}_install_enabled %}}\n{body}{{% endif %}}\n"


def role_files(at: int, files: int) -> dict[str, str]:
    """A role's files. Those beyond what every role has are more files to send."""
    role, source = role_name(at), random.Random(at)
    made = {"README.md": f"# {role}\n\n{text(source, 12)}"}
    made["defaults/main.yml"] = "---\n" + "".join(
        f"{role}_{part}_packages:\n  - {source.choice(WORDS)}\n  - {source.choice(WORDS)}\n{role}_{part}_enabled: true\n"
        f"{role}_{part}_template: t{source.randrange(TEMPLATES):02}.conf.j2\n{role}_{part}_limit: {source.randrange(1000)}\n"
        for part in TASKS
    )
    made["vars/main.yml"] = f"---\n{role}_folder: /etc/{role}\n{role}_service: {role}\n"
    for system in ("Debian", "RedHat"):
        made[f"vars/{system}.yml"] = f"---\n{role}_system: {system}\n" + "".join(f"{role}_{w}: {source.randrange(99)}\n" for w in WORDS[:8])
    made["handlers/main.yml"] = f"---\n- name: Restart {role}\n  ansible.builtin.service:\n    name: {role}\n    state: restarted\n"
    above = "" if at < COMMON else f"\n  - role: {role_name(at % COMMON)}\n"
    made["meta/main.yml"] = f"---\ngalaxy_info:\n  author: bench\n  min_ansible_version: '2.15'\ndependencies:{above or ' []'}\n"
    made["tasks/main.yml"] = (
        "---\n- name: Variables of the system\n  ansible.builtin.include_vars: \"{{ ansible_os_family }}.yml\"\n"
        + "".join(f"\n- name: {part.title()}\n  ansible.builtin.import_tasks: {part}.yml\n" for part in TASKS)
    )
    for part in TASKS:
        made[f"tasks/{part}.yml"] = tasks(source, role, part)
    for one in range(TEMPLATES):
        made[f"templates/t{one:02}.conf.j2"] = template(source, role, source.randrange(10, 60))
    rest = files - len(made)
    for one in range(rest):
        name = f"files/f{one:02}.conf" if one < BESIDE else f"files/more/{one:04}.conf"
        # Mostly small; one in ten is as large as a certificate bundle or a script.
        made[name] = text(source, source.randrange(400, 1500) if source.randrange(10) == 0 else source.randrange(5, 120))
    return made


def roles_of(at: int, roles: int, every_role: bool) -> list[int]:
    if every_role:
        return list(range(roles))
    scale = roles // ROLES
    rest, own = roles - COMMON, OWN * scale + (scale - 1) * COMMON
    start = at * rest // STAGES
    return [*range(COMMON), *(COMMON + (start + more) % rest for more in range(own))]


def large(bench: Bench, place: str, roles: int = ROLES, every_role: bool = False) -> tuple[Path, list[str]]:
    """Writes the tree and commits it."""
    names = [f"s{at:02}" for at in range(STAGES)]
    playbooks = {}
    for at, name in enumerate(names):
        listed = "".join(f"    - {role_name(role)}\n" for role in roles_of(at, roles, every_role))
        playbooks[name] = f"---\n- name: {name}\n  hosts: all\n  become: true\n  roles:\n{listed}"
    stages = [stage(name, "source.debian_12" if at == 0 else f"stage.{names[0]}") for at, name in enumerate(names)]

    folder = bench.place(place)
    for at in range(roles):
        for name, body in role_files(at, FILES).items():
            path = folder / "ansible/roles" / role_name(at) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body)
    (folder / "ansible/group_vars").mkdir()
    (folder / "ansible/group_vars/all.yml").write_text("---\n" + "".join(f"site_{word}: {len(word)}\n" for word in WORDS))
    return write(folder, bench.tag, stages, playbooks), names


class Built:
    """A large tree of which every image is there; lives as long as its EC2."""

    def __init__(self, bench: Bench, roles: int = ROLES, every_role: bool = False) -> None:
        self.bench, self.roles, self.every_role = bench, roles, every_role

    def __enter__(self) -> Large:
        bench = self.bench
        pipeline, names = large(bench, f"tree{self.roles}{'e' if self.every_role else ''}", self.roles, self.every_role)
        fake = FakePacker(bench.folder / "fake", [{"seconds": 0}])
        self.ec2 = LocalEc2(bench, instant=True)
        environment = bench.environment(fake.folder) | self.ec2.__enter__().environment()
        self.replay = None
        try:
            bench.ovenbird(pipeline, environment, "update")
            # moto's tables are not made for parallel calls: once in some hundred, one of them fails. Nothing is measured here, and a
            # build goes on where the one before it ended.
            for last in (False, False, True):
                if bench.ovenbird(pipeline, environment, "build", "--no-dry-run", "--keep-going", "-j", "4", ok=last).code == 0:
                    break
            if (built := len(fake.ran())) < len(names):
                raise MeasureError(f"the tree was to be {len(names)} Packer builds, it was {built}")
            self.replay = Replay(environment["AWS_ENDPOINT_URL"])
            environment |= {"AWS_ENDPOINT_URL": self.replay.endpoint}
            plan = json.loads(bench.ovenbird(pipeline, environment, "plan", "--json").output)
            if work := [node for node in plan["nodes"] if node["action"]["action"] != "reuse"]:
                raise MeasureError(f"the plan was to have nothing to do: {json.dumps(work[0])[:500]}")
            files = sorted(str(path.relative_to(pipeline)) for path in (pipeline / "ansible").rglob("*") if path.is_file())
            bench.note(f"{len(names)} stages, {self.roles} roles, {len(files)} files, {size(pipeline, files) / 1e6:.0f} MB")
            return Large(pipeline, environment, names, files)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        if self.replay:
            self.replay.end()
        self.ec2.__exit__()


def size(pipeline: Path, files: list[str]) -> int:
    return sum((pipeline / name).stat().st_size for name in files)


class Replay:
    """Answers a call as the local EC2 answered the same call the first time, at once: its own time (Python, 50 images) is not what
    is measured. What ovenbird sends, receives and reads is the same."""

    def __init__(self, behind: str) -> None:
        known: dict[tuple[str, bytes], tuple[int, str, bytes]] = {}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def do_POST(self) -> None:  # noqa: N802: the name is http.server's
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                call = (self.path, body)
                if call not in known:
                    known[call] = forward(behind + self.path, body, dict(self.headers))
                status, kind, answer = known[call]
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def end(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def forward(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
    headers = {name: value for name, value in headers.items() if name.lower() not in ("host", "content-length", "connection")}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers, method="POST"), timeout=60) as answer:
            return answer.status, answer.headers.get("Content-Type", "text/xml"), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Content-Type", "text/xml"), error.read()


def git_status(pipeline: Path) -> float:
    return timed(["git", "status"], pipeline)


def sha256sum(pipeline: Path, files: list[str]) -> float:
    return timed(["sha256sum", *files], pipeline)


def timed(arguments: list[str], cwd: Path) -> float:
    """Wall time of a command whose output goes where ovenbird's goes: to a file."""
    with tempfile.TemporaryFile(dir=cwd.parent) as out:
        began = time.perf_counter()
        done = subprocess.run(arguments, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False)
        seconds = time.perf_counter() - began
    if done.returncode != 0:
        raise MeasureError(f"`{' '.join(arguments[:2])}` ended with {done.returncode}")
    return seconds
