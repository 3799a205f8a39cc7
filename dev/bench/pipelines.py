# Owns: the pipelines that are measured: files of a pipeline folder, written anew for each measure. Must not: run anything but git.
# Invariant: a pipeline is a git work tree with everything committed, as at a user's; the default template is the one of this checkout.
"""Pipelines to measure."""

from __future__ import annotations

import shutil
from pathlib import Path

from common import BASE_IMAGE, REGION, ROOT, SOURCE_NAME, SOURCE_OWNER, command

HEAD = f'''pipeline "%s" {{
  region = "{REGION}"
}}

tools {{
  packer = "~> 1.15"
}}

builder {{
  instance_type         = "t3.small"
  polling_delay_seconds = 1
}}

source "debian_12" {{
  ami "x86_64" {{
    owners = ["{SOURCE_OWNER}"]
    name   = "{SOURCE_NAME}"
  }}
  docker       = "{BASE_IMAGE}"
  ssh_username = "admin"
}}
'''


def stage(name: str, parent: str, *more: str) -> str:
    lines = "".join(f"  {line}\n" for line in more)
    return f'\nstage "{name}" {{\n  from     = {parent}\n  playbook = "ansible/{name}.yml"\n{lines}}}\n'


def commit(folder: Path) -> None:
    (folder / ".gitignore").write_text(".ovenbird/\n")
    command(["git", "init", "-q"], folder)
    command(["git", "add", "-A"], folder)
    command(["git", "-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-qm", "A pipeline to measure"], folder)


def write(folder: Path, name: str, stages: list[str], playbooks: dict[str, str]) -> Path:
    """`stages` are blocks, `playbooks` the bodies of ansible/NAME.yml."""
    shutil.copytree(ROOT / "packer", folder / "packer")
    shutil.copy(ROOT / "ansible.cfg", folder)
    (folder / "ansible").mkdir(exist_ok=True)
    for stem, text in playbooks.items():
        (folder / "ansible" / f"{stem}.yml").write_text(text)
    (folder / "ovenbird.hcl").write_text(HEAD % name + "".join(stages))
    commit(folder)
    return folder


def small_playbook(name: str) -> str:
    """One task: for measures in which nothing is provisioned."""
    return f"---\n- name: {name}\n  hosts: all\n  tasks:\n    - name: Nothing much\n      ansible.builtin.command: /bin/true\n"


def real_playbook(name: str, files: int = 4) -> str:
    """A user, some files and a service: real tasks that need no network."""
    text = f"---\n- name: {name}\n  hosts: all\n  become: true\n  tasks:\n"
    text += f"    - name: Account\n      ansible.builtin.user:\n        name: svc-{name}\n        system: true\n"
    for at in range(files):
        text += (
            f"    - name: Setting {at}\n      ansible.builtin.copy:\n        dest: /etc/{name}-{at}.conf\n"
            f'        content: "value = {at}\\n"\n        mode: "0644"\n'
        )
    unit = f"[Service]\\nUser=svc-{name}\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n"
    text += (
        f"    - name: Unit\n      ansible.builtin.copy:\n        dest: /etc/systemd/system/{name}.service\n"
        f'        content: "{unit}"\n        mode: "0644"\n'
        f"    - name: Service\n      ansible.builtin.systemd_service:\n        name: {name}\n"
        "        daemon_reload: true\n        enabled: true\n        state: started\n"
    )
    return text


def example(folder: Path, name: str | None = None) -> Path:
    """A copy of examples/small, under another name where Docker images are made."""
    ignored = shutil.ignore_patterns(".terraform*", "__pycache__", "*.tfstate*", ".ovenbird")
    shutil.copytree(ROOT / "examples/small", folder, ignore=ignored, dirs_exist_ok=True)
    if name:
        path = folder / "ovenbird.hcl"
        path.write_text(path.read_text().replace('pipeline "example"', f'pipeline "{name}"', 1))
    commit(folder)
    return folder
