# Owns: what ansible/library/consul_kv.py promises, against a real agent. Must not: look into the module.
"""Consul's KV as a whole."""

import base64
import sys
import unittest

from harness import LIBRARY, WithConsul, run_module

sys.path.insert(0, str(LIBRARY))
import consul_kv

SECRET = "canary-of-the-kv-test"


class Kv(WithConsul):
    def bring(self, values=None, secrets=None, **more):
        options = {"check": more.pop("check", False)}
        return run_module("consul_kv", {"url": self.url, "values": values or {}, "secrets": secrets or {}, "folders": ["db/", "app"], **more}, **options)

    def stored(self):
        try:
            entries = self.ask("/v1/kv/?recurse")
        except OSError:
            entries = []
        return {entry["Key"]: base64.b64decode(entry["Value"] or "").decode() for entry in entries}

    def put(self, key, value):
        self.ask(f"/v1/kv/{key}", "PUT", value.encode())

    def test_only_what_differs_is_written_and_a_second_run_changes_nothing(self):
        first = self.bring({"db/host": "a", "db/port": 5432}, {"db/password": SECRET})
        self.assertEqual((first["changed"], first["set"], first["transactions"]), (True, ["db/host", "db/password", "db/port"], 1))
        self.assertEqual(self.stored(), {"db/host": "a", "db/port": "5432", "db/password": SECRET})
        self.assertFalse(self.bring({"db/host": "a", "db/port": 5432}, {"db/password": SECRET})["changed"])
        self.assertEqual(self.bring({"db/host": "b", "db/port": 5432}, {"db/password": SECRET})["set"], ["db/host"])

    def test_check_mode_writes_nothing_and_shows_what_would_change_but_no_secret(self):
        self.bring({"db/host": "a"}, {"db/password": SECRET})
        seen = self.bring({"db/host": "b"}, {"db/password": "another-canary"}, check=True)
        self.assertTrue(seen["changed"])
        self.assertEqual(seen["diff"]["before"], "db/host: a\ndb/password: (secret, as it is)\n")
        self.assertEqual(seen["diff"]["after"], "db/host: b\ndb/password: (secret, another)\n")
        self.assertNotIn(SECRET, seen.text)
        self.assertNotIn("another-canary", seen.text)
        self.assertEqual(self.stored()["db/host"], "a")

    def test_values_of_another_environment_are_refused_and_nothing_is_written(self):
        self.assertEqual(self.bring({"db/host": "a"}, once={"environment": "production"})["set"], ["db/host", "environment"])
        self.assertFalse(self.bring({"db/host": "a"}, once={"environment": "production"})["changed"])
        refused = self.bring({"db/host": "b"}, once={"environment": "staging"})
        self.assertIn("`environment` of this Consul is `production` and not `staging`; nothing was written", refused["msg"])
        self.assertEqual(self.stored(), {"db/host": "a", "environment": "production"})

    def test_what_was_secret_is_not_shown_when_it_goes_or_becomes_plain(self):
        self.bring({}, {"db/password": SECRET, "db/token": SECRET})
        seen = self.bring({"db/password": "plain"}, remove=True)
        self.assertNotIn(SECRET, seen.text)
        self.assertEqual(seen["diff"]["before"], "db/password: (secret, as it is)\ndb/token: (secret, as it is)\n")
        self.assertEqual(self.stored(), {"db/password": "plain"})

    def test_unwanted_keys_are_named_and_go_by_a_switch_only_and_only_in_the_folders(self):
        for key in ("db/old", "app/old", "elsewhere", "db-2/other"):
            self.put(key, "x")
        seen = self.bring({"db/host": "a"})
        self.assertEqual((seen["left"], seen["removed"]), (["app/old", "db/old"], []))
        self.assertEqual(self.bring({"db/host": "a"}, remove=True)["removed"], ["app/old", "db/old"])
        self.assertEqual(self.stored(), {"db/host": "a", "elsewhere": "x", "db-2/other": "x"})

    def test_more_than_one_transaction_is_refused_unless_it_is_asked_for(self):
        many = {f"db/key-{number:03}": "x" for number in range(65)}
        seen = self.bring(many)
        self.assertTrue(seen["failed"])
        self.assertIn("65 changes, and Consul takes 64 in a transaction; nothing was written", seen["msg"])
        self.assertEqual(self.stored(), {})
        self.assertEqual(self.bring(many, several_transactions=True)["transactions"], 2)
        self.assertEqual(len(self.stored()), 65)
        del many["db/key-000"]
        self.assertFalse(self.bring(many)["changed"])

    def test_a_change_by_somebody_else_in_between_fails_all_of_it(self):
        self.put("db/a", "1")
        kv = consul_kv.Kv(self.url, None)
        wanted = consul_kv.wanted_keys({"db/a": "2", "db/b": "2"}, {}, {})
        operations = consul_kv.plan(wanted, kv.read("db/", True), ["db/"], False)[0]
        self.put("db/a", "theirs")
        with self.assertRaisesRegex(consul_kv.Refused, "`db/a`: somebody else changed it meanwhile"):
            kv.commit(operations)
        self.assertEqual(self.stored(), {"db/a": "theirs"})

    def test_values_that_yaml_made_into_something_else_are_refused(self):
        for value in (True, 1.5, ["a"], None):
            seen = self.bring({"db/host": value})
            self.assertIn("wanted a string or a whole number", seen["msg"])
        self.assertIn("among the values and among the secrets", self.bring({"db/x": "a"}, {"db/x": "b"})["msg"])
        self.assertIn("is no key", self.bring({"/db/x": "a"})["msg"])
        self.assertIn("bytes, and Consul takes", self.bring({"db/x": "x" * (512 * 1024 + 1)})["msg"])
        self.assertEqual(self.stored(), {})

    def test_no_agent_is_said(self):
        seen = run_module("consul_kv", {"url": "127.0.0.1:1", "values": {"a": "b"}})
        self.assertIn("Consul does not answer at http://127.0.0.1:1", seen["msg"])


if __name__ == "__main__":
    unittest.main()
