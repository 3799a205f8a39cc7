# Owns: the tests of knobs.py alone. Must not: start a server. Invariant: no test waits.
"""Counting, matching and refusing of knobs."""

from __future__ import annotations

import threading
import unittest

from local_ec2.front import agent_of
from local_ec2.knobs import KnobError, Knobs, Rule


class Counting(unittest.TestCase):
    def test_a_rule_with_a_count_hits_that_often_and_no_more(self) -> None:
        knobs = Knobs()
        knobs.turn({"throttle": {"action": "DescribeImages", "count": 2}})
        hits = [knobs.hit("throttle", "DescribeImages", "other") is not None for _ in range(4)]
        self.assertEqual(hits, [True, True, False, False])

    def test_a_count_holds_under_parallel_calls(self) -> None:
        knobs = Knobs()
        knobs.turn({"deny": {"count": 50}})
        hits: list[int] = []
        threads = [
            threading.Thread(target=lambda: hits.extend(1 for _ in range(40) if knobs.hit("deny", "RunInstances", "packer")))
            for _ in range(8)
        ]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        self.assertEqual(len(hits), 50)

    def test_after_lets_the_first_calls_pass(self) -> None:
        knobs = Knobs()
        knobs.turn({"deny": {"action": "CreateTags", "after": 2, "count": 1}})
        hits = [knobs.hit("deny", "CreateTags", "other") is not None for _ in range(4)]
        self.assertEqual(hits, [False, False, True, False])

    def test_a_rate_lets_the_burst_pass_and_then_what_time_brings(self) -> None:
        rule = Rule.parse("throttle", {"per_second": 2, "burst": 3})
        self.assertEqual([rule.use(100.0) for _ in range(4)], [False, False, False, True])
        self.assertEqual([rule.use(100.5), rule.use(100.5)], [False, True])


class Matching(unittest.TestCase):
    def test_a_rule_for_one_agent_leaves_the_others_alone(self) -> None:
        knobs = Knobs()
        knobs.turn({"deny": {"action": "Create*", "agent": "ovenbird"}})
        self.assertIsNone(knobs.hit("deny", "CreateImage", "packer"))
        self.assertIsNone(knobs.hit("deny", "RunInstances", "ovenbird"))
        self.assertIsNotNone(knobs.hit("deny", "CreateTags", "ovenbird"))

    def test_agents_are_told_apart_by_user_agent(self) -> None:
        packer = "APN/1.0 HashiCorp/1.0 packer-plugin-amazon/1.3.2 Packer/1.15.0 aws-sdk-go/1.45.6"
        self.assertEqual(agent_of(packer), "packer")
        self.assertEqual(agent_of("aws-sdk-rust/1.3.8 api/ec2/1.180.0 os/linux lang/rust/1.90.0 app/ovenbird"), "ovenbird")
        self.assertEqual(agent_of("Boto3/1.40 md/Botocore"), "other")

    def test_latencies_add_up(self) -> None:
        knobs = Knobs()
        knobs.turn({"latency": [{"seconds": 0.5}, {"action": "CreateTags", "seconds": 1}]})
        self.assertEqual(knobs.latency("CreateTags", "other"), 1.5)
        self.assertEqual(knobs.latency("DescribeImages", "other"), 0.5)

    def test_a_failed_image_is_chosen_by_name(self) -> None:
        knobs = Knobs()
        knobs.turn({"fail_image": {"name": "*-web-*", "count": 1}})
        self.assertIsNone(knobs.failed_image("CreateImage", "shop-base-1"))
        self.assertIsNotNone(knobs.failed_image("CreateImage", "shop-web-1"))
        self.assertIsNone(knobs.failed_image("CreateImage", "shop-web-2"))


class Refusing(unittest.TestCase):
    def test_what_is_not_a_knob_is_refused_and_nothing_is_turned(self) -> None:
        for wrong in (
            {"throtle": {}}, {"throttle": {"secs": 1}}, {"pending_polls": -1}, {"pending_polls": True}, {"instant": 1},
            {"error": {}}, {"lose_reply": {"how": "slowly"}}, {"deny": "CreateTags"}, [],
        ):  # fmt: skip
            knobs = Knobs()
            spec = {"deny": {"action": "CreateTags"}, **wrong} if isinstance(wrong, dict) and "deny" not in wrong else wrong
            with self.subTest(wrong=wrong), self.assertRaises(KnobError):
                knobs.turn(spec)
            self.assertEqual(knobs.public()["rules"], [])

    def test_a_launch_fails_as_often_as_asked_and_only_in_its_group(self) -> None:
        knobs = Knobs()
        knobs.turn({"fail_launch": {"group": "web-*", "count": 1}})
        seen = [knobs.failed("fail_launch", name) is not None for name in ("api", "web-blue", "web-blue")]
        self.assertEqual(seen, [False, True, False])

    def test_a_behaviour_that_does_not_exist_is_refused_and_nothing_is_turned(self) -> None:
        knobs = Knobs()
        for wrong in ({"mode": "sulk"}, {"mode": "500", "colour": "green"}, "500"):
            with self.subTest(wrong=wrong), self.assertRaises(KnobError):
                knobs.turn({"clock": 1, "behave": wrong})
        self.assertEqual(knobs.public(), Knobs().public())

    def test_reset_turns_everything_off(self) -> None:
        knobs = Knobs()
        knobs.turn({"pending_polls": 3, "instant": True, "deny": {}, "clock": 1, "slow_drain": 2, "behave": {"mode": "500"}})
        knobs.reset()
        self.assertEqual(knobs.public(), Knobs().public())


if __name__ == "__main__":
    unittest.main()
