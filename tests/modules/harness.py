# Owns: what the tests of ansible/library need: a real Consul agent, a local S3, and one way of running a module as Ansible does.
# Must not: skip when Consul is absent; `make tools` brings it, so its absence is a failure.
"""Shared by the tests of this folder."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
LIBRARY = TOP / "ansible/library"


def free_ports(count):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


class Outcome(dict):
    """What a module answered, and all that it printed."""

    def __init__(self, text):
        super().__init__(json.loads(text[text.index("{"):]))
        self.text = text


def run_module(name, arguments, check=False, diff=True, environment=None):
    """As Ansible runs it: arguments on stdin, one JSON object on stdout."""
    asked = {"ANSIBLE_MODULE_ARGS": {**arguments, "_ansible_check_mode": check, "_ansible_diff": diff}}
    done = subprocess.run(
        [sys.executable, LIBRARY / f"{name}.py"], input=json.dumps(asked), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, env={**os.environ, **(environment or {})}
    )
    if "{" not in done.stdout:
        raise AssertionError(f"{name} answered {done.stdout!r} {done.stderr!r}")
    return Outcome(done.stdout)


class WithConsul(unittest.TestCase):
    """One agent for the class; each test empties it."""

    @classmethod
    def setUpClass(cls):
        program = shutil.which("consul") or f"{os.environ.get('OVENBIRD_TOOLS', TOP / '.tools')}/bin/consul"
        http, server, lan = free_ports(3)
        cls.folder = tempfile.TemporaryDirectory()
        cls.log = open(f"{cls.folder.name}/log", "w", encoding="utf-8")
        ports = ["-http-port", str(http), "-server-port", str(server), "-serf-lan-port", str(lan), "-serf-wan-port", "-1", "-dns-port", "-1", "-grpc-port", "-1"]
        settings = Path(cls.folder.name, "settings.json")
        settings.write_text(json.dumps({"check_update_interval": "0s", "disable_update_check": True}), encoding="utf-8")
        cls.agent = subprocess.Popen([program, "agent", "-dev", "-bind", "127.0.0.1", "-config-file", settings, *ports], stdout=cls.log, stderr=cls.log)
        cls.url = f"http://127.0.0.1:{http}"
        end = time.monotonic() + 60
        while True:
            try:
                if cls.ask("/v1/status/leader") and cls.ask("/v1/kv/ready", "PUT", b"yes"):
                    return
            except OSError:
                pass
            if cls.agent.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"no Consul agent: {Path(cls.log.name).read_text(encoding='utf-8')[-800:]}")
            time.sleep(0.1)

    @classmethod
    def tearDownClass(cls):
        cls.agent.terminate()
        cls.agent.wait(30)
        cls.log.close()
        cls.folder.cleanup()

    def setUp(self):
        self.ask("/v1/kv/?recurse", "DELETE")

    @classmethod
    def ask(cls, path, method="GET", data=None):
        with urllib.request.urlopen(urllib.request.Request(f"{cls.url}{path}", data=data, method=method), timeout=10) as reply:
            body = reply.read()
        return json.loads(body) if body else None
