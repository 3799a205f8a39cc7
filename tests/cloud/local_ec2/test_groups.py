# Owns: the tests of Auto Scaling groups and classic load balancers, with containers and HAProxy. Must not: pass without either.
# Invariant: no test waits for a time, only for a state; the clock of checks and drains is turned up for that.
"""Groups behind classic load balancers, as a client sees them."""

from __future__ import annotations

import subprocess
import unittest
from typing import Any

from botocore.exceptions import ClientError

from local_ec2.swapping import HEALTH, PATIENCE, Account, Clients, get
from local_ec2.testing import Running, until


class Groups(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Running()
        cls.addClassCleanup(cls.server.end)
        cls.account = Account(cls.server)
        cls.blue = cls.account.light("blue")
        cls.green = cls.account.light("green")
        cls.account.template("blue", cls.blue, "blue")
        cls.account.template("green", cls.green, "green")

    def setUp(self) -> None:
        self.addCleanup(self.server.control, "DELETE", "knobs")

    def test_a_swap_by_hand_fails_no_request_of_twenty_connections(self) -> None:
        account = self.account
        live, _ = account.balancer("elb-prd"), account.balancer("elb-test")
        account.group("web-blue", "blue", 2, LoadBalancerNames=["elb-prd"], Tags=[{"Key": "role", "Value": "web", "PropagateAtLaunch": True}])
        account.group("web-green", "green", 0, LoadBalancerNames=["elb-test"])
        blue = account.wait_healthy("elb-prd", "web-blue", 2)
        found = account.ec2.describe_instances(InstanceIds=blue)["Reservations"]
        tags = [{tag["Key"]: tag["Value"] for tag in one["Instances"][0]["Tags"]} for one in found]
        self.assertEqual([(one["role"], one["aws:autoscaling:groupName"]) for one in tags], [("web", "web-blue")] * 2)
        with Clients(live) as clients:
            account.resize("web-green", 2)
            green = account.wait_healthy("elb-test", "web-green", 2)
            self.assertEqual(clients.colours["green"], 0)
            account.asg.attach_load_balancers(AutoScalingGroupName="web-green", LoadBalancerNames=["elb-prd"])
            account.asg.detach_load_balancers(AutoScalingGroupName="web-green", LoadBalancerNames=["elb-test"])
            account.wait_healthy("elb-prd", "web-green", 2)
            account.asg.detach_load_balancers(AutoScalingGroupName="web-blue", LoadBalancerNames=["elb-prd"])
            until(lambda: set(account.in_service("elb-prd")) == set(green), PATIENCE)
            account.resize("web-blue", 0)
            account.wait_size("web-blue", 0)
            before = clients.colours["green"]
            until(lambda: clients.colours["green"] > before + 40, PATIENCE)
        self.assertEqual(clients.failed, [])
        self.assertGreater(clients.colours["blue"], 0)
        self.assertEqual(account.in_service("elb-test"), {})
        ended = [one for one in account.activities("web-blue") if one["Description"].startswith("Terminating")]
        self.assertEqual(sorted(one["Description"].split()[-1] for one in ended), sorted(blue))
        self.assertEqual({one["StatusCode"] for one in ended}, {"Successful"})
        print(f"{clients.colours.total()} requests, longest {clients.longest * 1000:.0f} ms")
        account.clear("web-blue", "web-green")
        self.assertEqual(self.server.control("GET", "left")["containers"], [])

    def test_without_draining_a_request_in_flight_is_cut_and_with_it_it_is_not(self) -> None:
        account = self.account
        for drain, expected in ((0, 502), (60, 200)):
            name = f"elb-drain-{drain}"
            address = account.balancer(name, drain)
            account.group(name, "blue", 1, LoadBalancerNames=[name])
            account.wait_healthy(name, name, 1)
            seen: list[int] = []
            done = subprocess.Popen(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://{address}/sleep/3"], stdout=subprocess.PIPE, text=True)
            until(lambda: any(one["busy"] for one in self.servers(name)), PATIENCE)
            account.resize(name, 0)
            seen.append(int(done.communicate()[0]))
            with self.subTest(drain=drain):
                self.assertEqual(seen, [expected])
            account.clear(name)

    def servers(self, balancer: str) -> list[dict[str, Any]]:
        all_of_them = self.server.control("GET", "balancers")
        pools = next(one["pools"] for one in all_of_them if one["load_balancer"].endswith(f"/{balancer}"))
        return [server for pool in pools.values() for server in pool["servers"].values()]

    def test_a_dead_instance_is_replaced_and_the_activities_say_why(self) -> None:
        account = self.account
        account.group("dying", "blue", 1)
        until(lambda: [one["LifecycleState"] for one in account.members("dying")] == ["InService"], PATIENCE)
        (first,) = account.members("dying")
        subprocess.run(["docker", "kill", f"{first['InstanceId']}-{self.server.about['id']}"], check=True, stdout=subprocess.DEVNULL)
        until(lambda: [one["InstanceId"] for one in account.members("dying") if one["LifecycleState"] == "InService"] not in ([], [first["InstanceId"]]), PATIENCE)
        causes = [one["Cause"] for one in account.activities("dying") if one["Description"] == f"Terminating EC2 instance: {first['InstanceId']}"]
        self.assertEqual(len(causes), 1)
        self.assertIn("EC2 health check indicating it has been terminated or stopped", causes[0])
        account.clear("dying")

    def test_a_launch_that_fails_is_an_activity_with_its_cause_and_is_tried_again(self) -> None:
        account = self.account
        self.server.knobs(fail_launch={"group": "failing", "count": 1, "message": "no capacity today"}, clock=100)
        account.group("failing", "blue", 1)
        until(lambda: [one["LifecycleState"] for one in account.members("failing")] == ["InService"], PATIENCE)
        states = [(one["StatusCode"], one.get("StatusMessage", "")) for one in account.activities("failing")]
        self.assertEqual(states, [("Successful", ""), ("Failed", "no capacity today. Launching EC2 instance failed.")])
        account.clear("failing")

    def test_a_new_version_of_a_template_is_launched_with_its_own_image_user_data_and_tags(self) -> None:
        account = self.account
        account.template("versions", self.blue, "blue")
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "second", "Value": "yes"}]}]
        account.ec2.create_launch_template_version(
            LaunchTemplateName="versions",
            LaunchTemplateData={"ImageId": self.green, "InstanceType": "t3.micro", "UserData": "Y29sb3VyPXR3bwo=", "TagSpecifications": tags},
        )
        address = account.balancer("elb-versions")
        account.group("versions", "versions", 1, LoadBalancerNames=["elb-versions"])
        (one,) = account.wait_healthy("elb-versions", "versions", 1)
        instance = account.ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"][0]
        self.assertEqual((instance["ImageId"], account.members("versions")[0]["LaunchTemplate"]["Version"]), (self.green, "2"))
        self.assertIn({"Key": "second", "Value": "yes"}, instance["Tags"])
        self.assertIn('"colour": "two"', get(address)[1])
        found = account.ec2.describe_launch_templates(Filters=[{"Name": "launch-template-id", "Values": [account.members("versions")[0]["LaunchTemplate"]["LaunchTemplateId"]]}])
        self.assertEqual([one["LaunchTemplateName"] for one in found["LaunchTemplates"]], ["versions"])
        account.clear("versions")

    def test_an_instance_that_answers_500_is_out_of_service_and_gets_nothing(self) -> None:
        account = self.account
        address = account.balancer("elb-bad")
        self.server.knobs(behave={"group": "bad", "mode": "500"})
        account.group("bad", "green", 1, LoadBalancerNames=["elb-bad"])
        until(lambda: "OutOfService" in account.in_service("elb-bad").values(), PATIENCE)
        (one,) = account.members("bad")

        def why() -> str:
            (state,) = account.elb.describe_instance_health(LoadBalancerName="elb-bad")["InstanceStates"]
            return state["ReasonCode"]

        until(lambda: why() == "Instance", PATIENCE)
        self.assertEqual(get(address)[0], 503)
        self.server.control("DELETE", "knobs")
        self.assertEqual(account.wait_healthy("elb-bad", "bad", 1), [one["InstanceId"]])
        account.clear("bad")

    def test_instances_that_die_come_and_go(self) -> None:
        account = self.account
        self.server.knobs(behave={"group": "mortal", "mode": "die", "seconds": 0.5})
        account.group("mortal", "green", 1)

        def ended() -> list[str]:
            return [one["Description"].split()[-1] for one in account.activities("mortal") if one["Description"].startswith("Terminating")]

        until(lambda: len(ended()) >= 2, PATIENCE)
        account.clear("mortal")

    def test_a_flapping_instance_is_in_and_out_of_service_and_a_group_that_heeds_it_replaces_it(self) -> None:
        account = self.account
        account.balancer("elb-flap")
        self.server.knobs(behave={"group": "flap", "mode": "flap", "seconds": 3})
        account.group("flap", "blue", 1, LoadBalancerNames=["elb-flap"])
        (first,) = account.wait_healthy("elb-flap", "flap", 1)
        until(lambda: account.in_service("elb-flap") == {first: "OutOfService"}, PATIENCE)
        account.wait_healthy("elb-flap", "flap", 1)
        self.assertEqual([one["InstanceId"] for one in account.members("flap")], [first], "an EC2 health check does not look at the load balancer")
        account.asg.update_auto_scaling_group(AutoScalingGroupName="flap", HealthCheckType="ELB", HealthCheckGracePeriod=0)
        until(lambda: first not in [one["InstanceId"] for one in account.members("flap")], PATIENCE)
        self.assertIn("an ELB system health check failure", next(one["Cause"] for one in account.activities("flap") if first in one["Description"]))
        account.clear("flap")

    def test_a_slow_drain_is_seen(self) -> None:
        account = self.account
        account.balancer("elb-slow")
        account.group("slow", "blue", 1, LoadBalancerNames=["elb-slow"])
        (one,) = account.wait_healthy("elb-slow", "slow", 1)
        self.server.knobs(slow_drain=3600)
        account.resize("slow", 0)

        def said() -> list[str]:
            states = account.elb.describe_instance_health(LoadBalancerName="elb-slow")["InstanceStates"]
            return [state["Description"] for state in states if state["InstanceId"] == one]

        until(lambda: said() == ["Instance deregistration currently in progress."], PATIENCE)
        self.assertEqual(account.activities("slow")[0]["StatusCode"], "WaitingForELBConnectionDraining")
        self.server.control("DELETE", "knobs")
        account.wait_size("slow", 0)
        self.assertEqual(said(), [])
        account.clear("slow")

    def test_an_instance_that_refuses_tls_fails_where_tls_is_passed_through(self) -> None:
        account = self.account
        listener = {"Protocol": "TCP", "LoadBalancerPort": 443, "InstanceProtocol": "TCP", "InstancePort": 443}
        address = account.elb.create_load_balancer(LoadBalancerName="elb-tls", Listeners=[listener], AvailabilityZones=["ap-northeast-1a"])["DNSName"]
        account.elb.configure_health_check(LoadBalancerName="elb-tls", HealthCheck=HEALTH)
        account.group("tls", "blue", 1, LoadBalancerNames=["elb-tls"])
        account.wait_healthy("elb-tls", "tls", 1)

        def asked() -> int:
            return subprocess.run(["curl", "-sk", "-o", "/dev/null", f"https://{address}/"], check=False).returncode

        self.assertEqual(asked(), 0)
        self.server.knobs(behave={"group": "tls", "mode": "refuse_tls"})
        until(lambda: asked() != 0, PATIENCE)
        self.assertEqual([*account.in_service("elb-tls").values()], ["InService"], "its check asks port 80")
        account.clear("tls")

    def test_what_cannot_be_is_refused(self) -> None:
        account = self.account
        for code, spec in (
            ("ValidationError", {"AutoScalingGroupName": "no", "MinSize": 3, "MaxSize": 2}),
            ("ValidationError", {"AutoScalingGroupName": "no", "MinSize": 0, "MaxSize": 0, "LoadBalancerNames": ["nobody"]}),
        ):
            with self.subTest(spec=spec), self.assertRaises(ClientError) as caught:
                account.asg.create_auto_scaling_group(AvailabilityZones=["ap-northeast-1a"], LaunchTemplate={"LaunchTemplateName": "blue"}, **spec)
            self.assertEqual(caught.exception.response["Error"]["Code"], code)
        with self.assertRaises(ClientError) as caught:
            account.balancer("elb_prd")
        self.assertEqual(caught.exception.response["Error"]["Code"], "ValidationError")


if __name__ == "__main__":
    unittest.main()
