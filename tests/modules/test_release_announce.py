# Owns: what ansible/library/release_announce.py promises, against a real agent whose checks the test answers. Must not: run a node.
"""Announcing a release and waiting for it."""

import base64
import json
import threading
import unittest

from harness import WithConsul, run_module

URL = "s3://b/app/releases/v2/manifest.yml"


class Announce(WithConsul):
    def setUp(self):
        super().setUp()
        self.ask("/v1/agent/service/register", "PUT", json.dumps({"Name": "web", "Port": 80, "Check": {"CheckID": "web", "TTL": "1h"}}).encode())
        self.ask("/v1/agent/check/register", "PUT", json.dumps({"ID": "deploy", "Name": "last deployment", "TTL": "1h", "Status": "passing"}).encode())
        self.serve("v1")

    def tearDown(self):
        self.ask("/v1/agent/service/deregister/web", "PUT")
        self.ask("/v1/agent/check/deregister/deploy", "PUT")

    def update(self, check, output, status="passing"):
        self.ask(f"/v1/agent/check/update/{check}", "PUT", json.dumps({"Status": status, "Output": output}).encode())

    def serve(self, release, status="passing"):
        self.update("web", f'HTTP GET http://127.0.0.1:80/health: 200 OK Output: {{"release": "{release}", "status": "ok"}}', status)

    def announced(self):
        return [base64.b64decode(event["Payload"]).decode() for event in self.ask("/v1/event/list?name=" + self._testMethodName[-60:])]

    def announce(self, release="v2", services=("web",), check=False, **more):
        arguments = {"url": self.url, "release": release, "manifest_url": URL, "services": list(services), "event": self._testMethodName[-60:], "timeout": 1}
        return run_module("release_announce", {**arguments, **more}, check=check)

    def when_announced(self, act):
        """A node: acts when the event is there."""

        def node():
            while not self.announced():
                pass
            act()

        thread = threading.Thread(target=node)
        thread.start()
        self.addCleanup(thread.join)

    def test_it_waits_until_the_check_was_answered_with_the_release(self):
        self.when_announced(lambda: self.serve("v2"))
        done = self.announce(timeout=60)
        self.assertTrue(done["changed"])
        self.assertEqual(len(done["nodes"]), 1)
        self.assertEqual(self.announced(), [URL])

    def test_nothing_is_announced_when_all_serve_it(self):
        self.serve("v2")
        self.assertFalse(self.announce()["changed"])
        self.assertEqual(self.announced(), [])

    def test_check_mode_announces_nothing(self):
        self.assertTrue(self.announce(check=True)["changed"])
        self.assertEqual(self.announced(), [])

    def test_the_nodes_own_reason_ends_the_waiting(self):
        report = json.dumps({"manifest": URL, "result": "failed", "reason": "no space left"})
        self.when_announced(lambda: self.update("deploy", report))
        self.assertIn(": no space left", self.announce(timeout=60)["msg"])

    def test_an_earlier_failure_of_the_same_release_does_not_count(self):
        self.update("deploy", json.dumps({"manifest": URL, "result": "failed", "reason": "no space left"}))
        self.assertIn("serves v1", self.announce()["msg"])

    def test_the_release_on_a_failing_check_does_not_count(self):
        self.when_announced(lambda: self.serve("v2", "critical"))
        self.assertIn("its check is not passing", self.announce()["msg"])

    def test_a_service_that_nobody_has_is_refused_before_anything_is_announced(self):
        self.assertIn("no instance of `api`", self.announce(services=("web", "api"))["msg"])
        self.assertEqual(self.announced(), [])


if __name__ == "__main__":
    unittest.main()
