# Owns: what app-release (role stretcher) promises on a node, with stretcher's stand-in, real folders and a service that the test plays.
# Must not: need root, systemd or Consul.
"""Releases on a node."""

import base64
import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest
from pathlib import Path

from harness import TOP

PROGRAM = TOP / "ansible/roles/stretcher/files/app_release.py"
STAND_IN = TOP / "dev/stretcher/stretcher"


class Node(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = Path(folder.name)
        self.root = self.top / "srv"
        self.bin = self.top / "bin"
        for made in (self.root / ".incoming", self.root / "releases", self.bin, self.top / "s3"):
            made.mkdir(parents=True)
        self.release("image", into=self.root / "releases/image")
        (self.root / "current").symlink_to("releases/image")
        # The service: it answers with what `current` was at its last restart, or not at all when that release is a broken one.
        self.running = "image"
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        base = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.script("systemctl", "exit 0")
        self.script("sudo", f"exec {sys.executable} -c 'import urllib.request; urllib.request.urlopen(\"{base}/restart\")'")
        self.script("logger", "exit 0")
        self.script("stretcher", f'exec {sys.executable} {STAND_IN} "$@"')
        settings = {"root": str(self.root), "service": "app.service", "health_url": f"{base}/health", "check": [sys.executable, "app.py", "--check"], "keep": 2}
        (self.top / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
        # The same program with this test's paths for the machine's, and little patience.
        text = PROGRAM.read_text(encoding="utf-8").replace('"/usr/local/bin/stretcher"', f'"{self.bin}/stretcher"').replace("ANSWER_WITHIN = 20", "ANSWER_WITHIN = 1")
        text = text.replace('CONSUL = "http://127.0.0.1:8500"', f'CONSUL = "{base}"').replace("FETCH_TRIES = 5", "FETCH_TRIES = 1").replace("/run/stretcher-watch/watching", f"{self.top}/watching")
        self.assertEqual(text.count(str(self.top)), 2)
        self.script("app-release", text.partition("\n")[2], f"#!{sys.executable}\n")
        self.reports = []

    def handler(test):
        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                if self.path == "/restart":
                    folder = (test.root / "current").resolve()
                    test.running = None if (folder / "broken").exists() else folder.name
                body = json.dumps({"release": test.running}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_PUT(self):
                test.reports.append(json.loads(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["Output"]))
                self.send_response(200)
                self.end_headers()

        return Handler

    def script(self, name, text, first="#!/bin/sh\n"):
        path = self.bin / name
        path.write_text(first + text + "\n", encoding="utf-8")
        path.chmod(0o755)

    def release(self, name, into, **files):
        into.mkdir(parents=True, exist_ok=True)
        for file, text in {"RELEASE": f"{name}\n", "app.py": "", **files}.items():
            (into / file).write_text(text, encoding="utf-8")

    def publish(self, name, checksum=None, cut=None, **files):
        """A release as release_publish leaves it, in a folder for S3; the URL of its manifest."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            for file, text in {"RELEASE": f"{name}\n", "app.py": "", **files}.items():
                entry = tarfile.TarInfo(file)
                entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text.encode()))
        data = out.getvalue()[:cut]
        folder = self.top / "s3/releases" / name
        folder.mkdir(parents=True)
        (folder / "app.tar.gz").write_bytes(data)
        program = f"{self.bin}/app-release"
        manifest = {
            "src": f"file://{folder}/app.tar.gz",
            "checksum": checksum or hashlib.sha256(data).hexdigest(),
            "dest": f"{self.root}/releases/{name}",
            "sync_strategy": "mv",
            "commands": {"pre": [f"{program} prepare {name}"], "post": [f"{program} switch {name}"], "success": [f"{program} prune"], "failure": ["logger failed"]},
        }
        (self.top / "s3/latest").mkdir(exist_ok=True)
        for place in (folder, self.top / "s3/latest"):
            (place / "manifest.yml").write_text(json.dumps(manifest), encoding="utf-8")

    def run_program(self, *arguments, stdin=""):
        environment = {**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}", "APP_RELEASE_SETTINGS": f"{self.top}/settings.json", "RELEASES": f"file://{self.top}/s3"}
        return subprocess.run([self.bin / "app-release", *arguments], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=environment)

    def latest(self):
        done = self.run_program("latest")
        return done.returncode, done.stdout

    def current(self):
        return os.readlink(self.root / "current")

    def stays(self, what, reason):
        """The old release is linked and runs, nothing is left lying about, and Consul has the reason."""
        self.assertEqual(what[0], 1, what[1])
        self.assertIn(reason, what[1])
        self.assertEqual((self.current(), self.running), ("releases/image", "image"))
        self.assertEqual([left.name for left in (self.root / ".incoming").iterdir()], ["lock"])
        self.assertEqual(self.reports[-1]["result"], "failed")
        self.assertIn(reason, self.reports[-1]["reason"])

    def test_a_release_is_served_and_taken_once(self):
        self.publish("v1")
        code, log = self.latest()
        self.assertEqual((code, self.current(), self.running), (0, "releases/v1", "v1"), log)
        self.assertEqual([report["result"] for report in self.reports], ["deploying", "served"])
        code, log = self.latest()
        self.assertEqual(code, 0)
        self.assertIn("served already", log)

    def test_a_wrong_checksum_changes_nothing(self):
        self.publish("v1", checksum="0" * 64)
        self.stays(self.latest(), "checksum mismatch")
        self.assertFalse((self.root / "releases/v1").exists())

    def test_half_an_archive_changes_nothing(self):
        self.publish("v1", cut=60)
        self.stays(self.latest(), "tar xf")
        self.assertFalse((self.root / "releases/v1").exists())

    def test_a_release_that_cannot_start_is_not_switched_to(self):
        self.publish("v1", **{"app.py": "raise SystemExit('no such setting')"})
        self.stays(self.latest(), "release `v1` cannot start: no such setting")

    def test_a_release_that_does_not_answer_gives_way_to_the_one_before(self):
        self.publish("v1", broken="")
        self.stays(self.latest(), "`image` serves again")

    def test_an_archive_of_another_release_is_refused(self):
        self.publish("v1", RELEASE="v2\n")
        self.stays(self.latest(), "the archive says that it is `v2`, the manifest says `v1`")

    def test_events_are_believed_only_below_the_releases_and_the_first_call_asks_the_pointer(self):
        def event(url):
            return json.dumps([{"ID": "1", "Payload": base64.b64encode(url.encode()).decode()}])

        self.publish("v1")
        self.publish("v2")
        self.assertEqual(self.run_program("event", stdin=event(f"file://{self.top}/s3/releases/v1/manifest.yml")).returncode, 0)
        self.assertEqual(self.running, "v2")
        self.run_program("event", stdin=event(f"file://{self.top}/s3/releases/v1/manifest.yml"))
        self.assertEqual(self.running, "v1")
        refused = self.run_program("event", stdin=event("file:///elsewhere/releases/v3/manifest.yml"))
        self.assertIn("is not below", refused.stdout)
        self.assertEqual((refused.returncode, self.running), (0, "v1"))
        self.assertEqual(self.reports[-1]["result"], "failed")
        self.assertIn("is not below", self.reports[-1]["reason"])

    def test_old_releases_go_and_the_image_and_the_current_one_stay(self):
        for number in range(1, 5):
            self.publish(f"v{number}")
            self.assertEqual(self.latest()[0], 0)
        self.assertEqual(sorted(folder.name for folder in (self.root / "releases").iterdir()), ["image", "v3", "v4"])

    def test_no_pointer_and_names_that_are_none(self):
        code, log = self.latest()
        self.assertEqual((code, self.current()), (1, "releases/image"), log)
        for name in ("../image", "", ".x"):
            self.assertIn("is no name of a release", self.run_program("switch", name).stdout)


if __name__ == "__main__":
    unittest.main()
