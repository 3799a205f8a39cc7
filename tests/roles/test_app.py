# Proves the example's service (role app) as a process: what it answers, what it hides, and that a restart behind systemd's socket
# loses no request. Must not need systemd, root or the network. Run: python3 -m unittest discover tests/roles
"""The service as systemd starts it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

FILES = Path(__file__).resolve().parents[2] / "ansible/roles/app/files"
SECRET = "correct-horse-battery"
CONFIG = f"""
source = "consul"
[database]
master_host = "db.example"
port = 5432
password = "{SECRET}"
[app]
banner = "hello"
log_level = "info"
api_token = "{SECRET}"
signing_key = ""
list = ["a", {{secret = "{SECRET}"}}]
"""


def patiently(done):
    """Wait for a thing that another process does; a minute is for a machine that is busy."""
    for _ in range(600):
        if done():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come to that in a minute")


class Release(unittest.TestCase):
    """A release in a folder, started on a socket that we hold as systemd would."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        (self.root / "run").mkdir()
        self.release("image")
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.addCleanup(self.listener.close)
        self.port = self.listener.getsockname()[1]

    def release(self, name):
        folder = self.root / "releases" / name
        folder.mkdir(parents=True)
        shutil.copy(FILES / "app.py", folder / "app.py")
        (folder / "RELEASE").write_text(f"{name}\n", encoding="utf-8")
        link = self.root / "new"
        link.symlink_to(folder)
        link.rename(self.root / "current")

    def configure(self, text):
        (self.root / "app.toml").write_text(text, encoding="utf-8")

    def applied(self):
        (self.root / "run/configured").write_text("", encoding="utf-8")

    def start(self):
        listener = self.listener

        def hand_over():
            os.dup2(listener.fileno(), 3)
            os.set_inheritable(3, True)

        # A shell in between: the process must be told its own id, which is known only when it runs.
        command = ["/bin/sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh", sys.executable, self.root / "current/app.py", *self.arguments()]
        process = subprocess.Popen(command, preexec_fn=hand_over, close_fds=False, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def arguments(self):
        return ["--config", self.root / "app.toml", "--environment", self.root / "instance.env", "--missing", self.root / "missing", "--run", self.root / "run"]

    def ask(self, path="/"):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


class Answers(Release):
    def test_release_environment_and_configuration_without_secrets(self):
        self.configure(CONFIG)
        (self.root / "instance.env").write_text("ENVIRONMENT=staging\n", encoding="utf-8")
        process = self.start()
        status, answer = self.ask()
        self.assertEqual((status, answer["release"], answer["environment"], answer["config_source"]), (200, "image", "staging", "consul"))
        self.assertEqual(answer["config"]["database"], {"master_host": "db.example", "port": 5432, "password": "set"})
        self.assertEqual(answer["config"]["app"]["api_token"], "set")
        self.assertEqual(answer["config"]["app"]["signing_key"], "not set")
        self.assertNotIn(SECRET, json.dumps(answer))
        process.send_signal(signal.SIGTERM)
        self.assertNotIn(SECRET, process.communicate(timeout=60)[1])

    def test_a_configuration_that_is_not_there_or_broken_is_said(self):
        for text, problem in ((None, "No such file"), (f'password = "{SECRET}', "is not TOML")):
            with self.subTest(problem):
                if text:
                    self.configure(text)
                process = self.start()
                _, answer = self.ask()
                self.assertEqual((answer["config"], answer["config_source"]), ({}, "default"))
                self.assertIn(problem, answer["config_problem"])
                process.send_signal(signal.SIGTERM)
                self.assertNotIn(SECRET, process.communicate(timeout=60)[1] + json.dumps(answer))

    def test_keys_that_are_waited_for_are_said(self):
        self.configure(CONFIG)
        self.start()
        self.assertNotIn("config_missing", self.ask()[1])
        (self.root / "missing").write_text("database/password\n", encoding="utf-8")
        self.assertEqual(self.ask()[1]["config_missing"], ["database/password"])

    def test_health_is_503_with_the_reason_until_an_environment_was_applied(self):
        self.configure(CONFIG)
        self.start()
        status, answer = self.ask("/health")
        self.assertEqual(status, 503)
        self.assertIn("no environment was applied", answer["reason"])
        (self.root / "run/failed").write_text("template `x` line 2: key `A` is not set\n", encoding="utf-8")
        status, answer = self.ask("/health")
        self.assertEqual(status, 503)
        self.assertIn("template `x` line 2: key `A` is not set", answer["reason"])
        self.applied()
        self.assertEqual(self.ask("/health"), (200, {"status": "ok", "release": "image"}))

    def test_what_is_not_there_is_404(self):
        self.configure(CONFIG)
        self.start()
        self.assertEqual(self.ask("/other"), (404, {"error": "not found"}))


class Restarts(Release):
    def test_requests_wait_for_the_next_process_and_none_is_lost(self):
        self.configure(CONFIG)
        self.applied()
        process = self.start()
        self.assertEqual(self.ask("/health")[0], 200)
        answers, failures, over = [], [], threading.Event()

        def visit():
            while not over.is_set():
                try:
                    answers.append(self.ask()[1]["release"])
                except OSError as error:
                    failures.append(repr(error))

        visitors = [threading.Thread(target=visit) for _ in range(3)]
        for visitor in visitors:
            visitor.start()
        for name in ("r1", "r2", "r3"):
            before = len(answers)
            patiently(lambda: len(answers) > before + 5)
            self.release(name)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(timeout=60), 0)
            process = self.start()
            patiently(lambda: answers and answers[-1] == name)
        over.set()
        for visitor in visitors:
            visitor.join()
        self.assertEqual(failures, [])
        self.assertEqual(list(dict.fromkeys(answers)), ["image", "r1", "r2", "r3"])

    def test_a_request_in_flight_is_answered_before_the_process_ends(self):
        self.configure(CONFIG)
        process = self.start()
        self.ask()
        with socket.create_connection(("127.0.0.1", self.port)) as visitor:
            visitor.sendall(b"GET / HTTP/1.0\r\n")
            # Taken up once a second visitor is answered: connections are accepted in their order.
            self.ask()
            process.send_signal(signal.SIGTERM)
            visitor.sendall(b"\r\n")
            answer = b"".join(iter(lambda: visitor.recv(4096), b""))
        self.assertIn(b'"release": "image"', answer)
        self.assertEqual(process.wait(timeout=60), 0)


class Check(Release):
    def check(self):
        return subprocess.run([sys.executable, self.root / "current/app.py", "--check", *self.arguments()], capture_output=True, text=True, timeout=60, check=False)

    def test_a_release_that_can_start_says_so(self):
        done = self.check()
        self.assertEqual((done.returncode, done.stdout), (0, "release image can start\n"))

    def test_a_release_that_cannot_does_not(self):
        (self.root / "current/app.py").write_text("def main(:\n", encoding="utf-8")
        self.assertNotEqual(self.check().returncode, 0)


if __name__ == "__main__":
    unittest.main()
