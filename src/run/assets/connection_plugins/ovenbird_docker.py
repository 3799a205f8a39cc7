# How Ansible reaches a container of a dry run: `docker exec`, nothing in between. Packer's SSH proxy costs several round trips a
# task, and `community.docker` is not part of ansible-core.
# Owns commands and file transfer. Must not start, stop or commit a container; that is Packer's and ovenbird's.
# Invariant: bytes reach the other side unchanged, by stdin, and never appear on a command line.
"""ovenbird's connection to a container."""

from __future__ import annotations

import os
import shutil
import subprocess

from ansible.errors import AnsibleConnectionFailure, AnsibleError, AnsibleFileNotFound
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: ovenbird_docker
short_description: Runs tasks in a container by docker exec
description:
  - Uses the docker command of this machine; what DOCKER_HOST and the like say applies.
options:
  container:
    description: Name or id of the container.
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_host
  remote_user:
    description: User inside of the container. Not set, the user that the image says.
    vars:
      - name: ansible_user
    keyword:
      - name: remote_user
  pipelining:
    description: Feed modules to Python by stdin. On here by itself, as nothing between us and a container wants a terminal.
    type: boolean
    default: true
    ini:
      - section: connection
        key: pipelining
    env:
      - name: ANSIBLE_PIPELINING
    vars:
      - name: ansible_pipelining
"""


class Connection(ConnectionBase):
    transport = "ovenbird_docker"
    has_pipelining = True

    def _connect(self):
        if not self._connected:
            self._docker = shutil.which("docker")
            if self._docker is None:
                raise AnsibleError("no `docker` command on PATH")
            self._connected = True
        return self

    def close(self):
        self._connected = False

    def _exec(self, command, stdin=None):
        self._connect()
        argv = [self._docker, "exec", "-i"]
        user = self.get_option("remote_user")
        if user:
            argv += ["-u", user]
        argv += [self.get_option("container"), "/bin/sh", "-c", command]
        argv = [to_bytes(part, errors="surrogate_or_strict") for part in argv]
        feed = {"stdin": stdin} if stdin is not None and not isinstance(stdin, bytes) else {"input": stdin or b""}
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, **feed)
        # 125 and above 127 with this text are docker's own; the command inside has not run.
        if done.returncode != 0 and (b"No such container" in done.stderr or b"is not running" in done.stderr):
            raise AnsibleConnectionFailure(to_text(done.stderr).strip())
        return done.returncode, done.stdout, done.stderr

    def exec_command(self, cmd, in_data=None, sudoable=True):
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return self._exec(cmd, to_bytes(in_data, errors="surrogate_or_strict") if in_data is not None else None)

    def put_file(self, in_path, out_path):
        super().put_file(in_path, out_path)
        if not os.path.exists(to_bytes(in_path, errors="surrogate_or_strict")):
            raise AnsibleFileNotFound(f"`{in_path}` is not there")
        with open(to_bytes(in_path, errors="surrogate_or_strict"), "rb") as file:
            code, _, err = self._exec(f"cat > {self._shell.quote(out_path)}", file)
        if code != 0:
            raise AnsibleError(f"could not write `{out_path}`: {to_text(err).strip()}")

    def fetch_file(self, in_path, out_path):
        super().fetch_file(in_path, out_path)
        code, out, err = self._exec(f"cat {self._shell.quote(in_path)}")
        if code != 0:
            raise AnsibleError(f"could not read `{in_path}`: {to_text(err).strip()}")
        with open(to_bytes(out_path, errors="surrogate_or_strict"), "wb") as file:
            file.write(out)
