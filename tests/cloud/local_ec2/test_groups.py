# Owns: the tests of Auto Scaling groups and classic load balancers, with containers and HAProxy. Must not: pass without either.
# Invariant: no test waits for a time, only for a state. Starting a container is what costs here, so tests of one instance share it.
"""Groups behind classic load balancers, as a client sees them."""

from __future__ import annotations

import subprocess
import unittest
from typing import Any

from botocore.exceptions import ClientError

from local_ec2.swapping import HEALTH, PATIENCE, PROOF, Account, Clients, get
from local_ec2.testing import Running, until

SERVER: Running
ACCOUNT: Account
IMAGES: dict[str, str] = {}


def setUpModule() -> None:
    global SERVER, ACCOUNT
    SERVER = Running()
    unittest.addModuleCleanup(SERVER.end)
    ACCOUNT = Account(SERVER)
    for colour in ("blue", "green"):
        IMAGES[colour] = ACCOUNT.light(colour)
        ACCOUNT.template(colour, IMAGES[colour], colour)


class Groups(unittest.TestCase):
    def setUp(self) -> None:
        self.addCleanup(SERVER.control, "DELETE", "knobs")
        self.account = ACCOUNT

    def swap(self, new: str, old: str, clients: Clients) -> None:
        """The four steps, each waited for, the new colour coming in from the test load balancer."""
        account = self.account
        account.asg.attach_load_balancers(AutoScalingGroupName=new, LoadBalancerNames=["elb-test"])
        account.resize(new, 2)
        ids = account.wait_healthy("elb-test", new, 2)
        seen = clients.colours[new]
        account.asg.attach_load_balancers(AutoScalingGroupName=new, LoadBalancerNames=["elb-prd"])
        account.asg.detach_load_balancers(AutoScalingGroupName=new, LoadBalancerNames=["elb-test"])
        account.wait_healthy("elb-prd", new, 2)
        account.asg.detach_load_balancers(AutoScalingGroupName=old, LoadBalancerNames=["elb-prd"])
        until(lambda: set(account.in_service("elb-prd")) == set(ids), PATIENCE)
        account.resize(old, 0)
        account.wait_size(old, 0)
        until(lambda: clients.colours[new] > seen + 40, PATIENCE)

    def test_swaps_by_hand_fail_no_request_of_twenty_connections(self) -> None:
        account = self.account
        live, _ = account.balancer("elb-prd"), account.balancer("elb-test")
        account.group("blue", "blue", 2, LoadBalancerNames=["elb-prd"], Tags=[{"Key": "role", "Value": "web", "PropagateAtLaunch": True}])
        account.group("green", "green", 0)
        blue = account.wait_healthy("elb-prd", "blue", 2)
        found = account.ec2.describe_instances(InstanceIds=blue)["Reservations"]
        tags = [{tag["Key"]: tag["Value"] for tag in one["Instances"][0]["Tags"]} for one in found]
        self.assertEqual([(one["role"], one["aws:autoscaling:groupName"]) for one in tags], [("web", "blue")] * 2)
        with Clients(live) as clients:
            for _ in range(5 if PROOF else 1):
                self.swap("green", "blue", clients)
                if PROOF:
                    self.swap("blue", "green", clients)
            # The same while the load balancer's own settings change.
            before = clients.colours.total()
            account.elb.configure_health_check(LoadBalancerName="elb-prd", HealthCheck={**HEALTH, "Interval": 6})
            until(lambda: clients.colours.total() > before + 60, PATIENCE)
        self.assertEqual(clients.failed, [])
        self.assertEqual(account.in_service("elb-test"), {})
        ended = [one for one in account.activities("blue") if one["Description"].startswith("Terminating")]
        self.assertLessEqual(set(blue), {one["Description"].split()[-1] for one in ended})
        self.assertEqual({one["StatusCode"] for one in ended}, {"Successful"})
        print(f"{clients.colours.total()} requests, longest {clients.longest * 1000:.0f} ms")
        account.clear("blue", "green")
        self.assertEqual(SERVER.control("GET", "left")["instances"], [])

    def servers(self, balancer: str) -> list[dict[str, Any]]:
        all_of_them = SERVER.control("GET", "balancers")
        pools = next(one["pools"] for one in all_of_them if one["load_balancer"].endswith(f"/{balancer}"))
        return [server for pool in pools.values() for server in pool["servers"].values()]

    def test_without_draining_a_request_in_flight_is_cut_and_with_it_it_is_not(self) -> None:
        account = self.account
        address = account.balancer("elb-drain")
        account.group("drain", "blue", 1, LoadBalancerNames=["elb-drain"])
        for enabled, expected in ((True, 200), (False, 502)):
            account.elb.modify_load_balancer_attributes(
                LoadBalancerName="elb-drain", LoadBalancerAttributes={"ConnectionDraining": {"Enabled": enabled, "Timeout": 3600}}
            )
            account.wait_healthy("elb-drain", "drain", 1)
            curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"http://{address}/sleep/8"]
            done = subprocess.Popen(curl, stdout=subprocess.PIPE, text=True)
            until(lambda: any(one["busy"] for one in self.servers("elb-drain")), PATIENCE)
            account.asg.detach_load_balancers(AutoScalingGroupName="drain", LoadBalancerNames=["elb-drain"])
            if enabled:
                # A change of the load balancer meanwhile must not forget who is leaving.
                until(lambda: all(one["phase"] == "draining" for one in self.servers("elb-drain")), PATIENCE)
                account.elb.configure_health_check(LoadBalancerName="elb-drain", HealthCheck={**HEALTH, "Interval": 6})
                self.assertEqual(len(account.in_service("elb-drain")), 1)
            with self.subTest(enabled=enabled):
                self.assertEqual(int(done.communicate()[0]), expected)
            until(lambda: account.in_service("elb-drain") == {}, PATIENCE)
            account.asg.attach_load_balancers(AutoScalingGroupName="drain", LoadBalancerNames=["elb-drain"])
        account.clear("drain")

    def test_a_launch_that_fails_is_an_activity_with_its_cause_and_is_tried_again(self) -> None:
        account = self.account
        SERVER.knobs(fail_launch={"group": "failing", "count": 1, "message": "no capacity today"}, clock=100)
        account.template("versions", IMAGES["blue"], "blue")
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "second", "Value": "yes"}]}]
        data = {"ImageId": IMAGES["green"], "InstanceType": "t3.micro", "UserData": "Y29sb3VyPXR3bwo=", "TagSpecifications": tags}
        account.ec2.create_launch_template_version(LaunchTemplateName="versions", LaunchTemplateData=data)
        account.group("failing", "versions", 1)
        until(lambda: [one["LifecycleState"] for one in account.members("failing")] == ["InService"], PATIENCE)
        states = [(one["StatusCode"], one.get("StatusMessage", "")) for one in account.activities("failing")]
        self.assertEqual(states, [("Successful", ""), ("Failed", "no capacity today. Launching EC2 instance failed.")])

        # What came up is the template's second version, with its own image, user data and tags.
        (one,) = account.members("failing")
        instance = account.ec2.describe_instances(InstanceIds=[one["InstanceId"]])["Reservations"][0]["Instances"][0]
        self.assertEqual((instance["ImageId"], one["LaunchTemplate"]["Version"]), (IMAGES["green"], "2"))
        self.assertIn({"Key": "second", "Value": "yes"}, instance["Tags"])
        until(lambda: '"colour": "two"' in answer(instance["PrivateIpAddress"]), PATIENCE)
        wanted = [{"Name": "launch-template-id", "Values": [one["LaunchTemplate"]["LaunchTemplateId"]]}]
        found = account.ec2.describe_launch_templates(Filters=wanted)["LaunchTemplates"]
        self.assertEqual([one["LaunchTemplateName"] for one in found], ["versions"])
        account.clear("failing")

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


def answer(address: str) -> str:
    try:
        return get(address)[1]
    except OSError:
        return ""


class OneInstance(unittest.TestCase):
    """A group of one on a load balancer for HTTP, with TLS passed through. Each test leaves it serving."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.account = account = ACCOUNT
        cls.address = account.balancer("elb-one")
        tls = {"Protocol": "TCP", "LoadBalancerPort": 443, "InstanceProtocol": "TCP", "InstancePort": 443}
        account.elb.create_load_balancer_listeners(LoadBalancerName="elb-one", Listeners=[tls])
        account.group("one", "blue", 1, LoadBalancerNames=["elb-one"])
        cls.addClassCleanup(account.clear, "one")

    def setUp(self) -> None:
        self.addCleanup(SERVER.control, "DELETE", "knobs")
        (self.id_before,) = self.account.wait_healthy("elb-one", "one", 1)

    def state(self) -> tuple[str, str, str]:
        """Of the instance that was there when the test began."""
        wanted = [{"InstanceId": self.id_before}]
        (found,) = self.account.elb.describe_instance_health(LoadBalancerName="elb-one", Instances=wanted)["InstanceStates"]
        return found["State"], found["ReasonCode"], found["Description"]

    def ended(self) -> list[dict[str, Any]]:
        return [one for one in self.account.activities("one") if one["Description"] == f"Terminating EC2 instance: {self.id_before}"]

    def standing(self) -> str:
        (found,) = self.account.asg.describe_load_balancers(AutoScalingGroupName="one")["LoadBalancers"]
        return found["State"]

    def test_that_answers_500_is_out_of_service_and_gets_nothing(self) -> None:
        self.assertEqual(self.standing(), "InService")
        SERVER.knobs(behave={"group": "one", "mode": "500"})
        until(lambda: self.state()[:2] == ("OutOfService", "Instance"), PATIENCE)
        self.assertEqual(get(self.address)[0], 503)
        SERVER.control("DELETE", "knobs")
        self.assertEqual(self.account.wait_healthy("elb-one", "one", 1), [self.id_before])

    def test_that_refuses_tls_fails_where_tls_is_passed_through(self) -> None:
        def asked() -> int:
            return subprocess.run(["curl", "-sk", "-o", "/dev/null", f"https://{self.address}/"], check=False).returncode

        until(lambda: asked() == 0, PATIENCE)
        SERVER.knobs(behave={"group": "one", "mode": "refuse_tls"})
        until(lambda: asked() != 0, PATIENCE)
        self.assertEqual(self.state()[0], "InService", "its check asks port 80")

    def test_that_flaps_is_in_and_out_of_service_and_is_replaced_by_a_group_that_heeds_it(self) -> None:
        SERVER.knobs(behave={"instance": self.id_before, "mode": "flap", "seconds": 3})
        for wanted in ("OutOfService", "InService"):
            until(lambda wanted=wanted: self.state()[0] == wanted, PATIENCE)
        self.assertEqual(self.ended(), [], "an EC2 health check does not look at the load balancer")
        self.account.asg.update_auto_scaling_group(AutoScalingGroupName="one", HealthCheckType="ELB", HealthCheckGracePeriod=0)
        until(self.ended, PATIENCE)
        self.account.asg.update_auto_scaling_group(AutoScalingGroupName="one", HealthCheckType="EC2")
        self.assertIn("an ELB system health check failure", self.ended()[0]["Cause"])
        self.assertNotEqual(self.account.wait_healthy("elb-one", "one", 1), [self.id_before])

    def test_that_dies_is_replaced_and_the_activities_say_why(self) -> None:
        SERVER.knobs(behave={"instance": self.id_before, "mode": "die"})
        until(lambda: self.ended() and self.id_before not in self.account.wait_healthy("elb-one", "one", 1), PATIENCE)
        self.assertEqual(len(self.ended()), 1)
        self.assertIn("EC2 health check indicating it has been terminated or stopped", self.ended()[0]["Cause"])

    def test_that_leaves_slowly_is_seen_leaving(self) -> None:
        SERVER.knobs(slow_drain=3600)
        self.account.resize("one", 0)
        until(lambda: self.state() == ("InService", "N/A", "Instance deregistration currently in progress."), PATIENCE)
        self.assertEqual(self.ended()[0]["StatusCode"], "WaitingForELBConnectionDraining")
        self.assertEqual(self.standing(), "Added")
        self.account.asg.detach_load_balancers(AutoScalingGroupName="one", LoadBalancerNames=["elb-one"])
        self.assertEqual(self.standing(), "Removing")
        self.account.asg.attach_load_balancers(AutoScalingGroupName="one", LoadBalancerNames=["elb-one"])
        SERVER.control("DELETE", "knobs")
        self.account.wait_size("one", 0)
        self.assertEqual(self.state()[0], "Unknown")
        self.account.resize("one", 1)


if __name__ == "__main__":
    unittest.main()
