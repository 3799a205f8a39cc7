# Owns: the tests of the API as a client sees it, against a server whose instances are not containers.
# Must not: need Docker. Invariant: each test leaves the knobs off.
"""EC2's rules and the knobs, through boto3."""

from __future__ import annotations

import subprocess
import threading
import time
import unittest
from typing import Any

from botocore.exceptions import ClientError, ConnectionError as ConnectionFailed, HTTPClientError

from local_ec2.swapping import PATIENCE, Account
from local_ec2.testing import LAUNCHER, NEWEST, Running, until


SERVER: Running


def setUpModule() -> None:
    global SERVER
    SERVER = Running("--instant")
    unittest.addModuleCleanup(SERVER.end)


class Api(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.server = SERVER
        cls.ec2 = cls.server.client()

    def setUp(self) -> None:
        self.addCleanup(self.server.control, "DELETE", "knobs")
        self.name = self.id().rsplit(".", 1)[-1][:80]

    def instance(self, **more: Any) -> str:
        spec = {"ImageId": self.server.source, "MinCount": 1, "MaxCount": 1, "InstanceType": "t3.micro", **more}
        instance_id = self.ec2.run_instances(**spec)["Instances"][0]["InstanceId"]
        self.addCleanup(self.ec2.terminate_instances, InstanceIds=[instance_id])
        return instance_id

    def image(self, name: str = "", **more: Any) -> str:
        return self.ec2.create_image(InstanceId=self.instance(), Name=name or self.name, **more)["ImageId"]

    def state(self, image_id: str) -> str:
        return self.ec2.describe_images(ImageIds=[image_id])["Images"][0]["State"]

    def refused(self, code: str, call: Any, **args: Any) -> ClientError:
        with self.assertRaises(ClientError) as caught:
            call(**args)
        self.assertEqual(caught.exception.response["Error"]["Code"], code)
        return caught.exception


class Images(Api):
    def test_a_second_image_of_the_same_name_is_refused_as_ec2_does(self) -> None:
        first = self.image()
        error = self.refused("InvalidAMIName.Duplicate", self.image)
        self.assertIn(f"AMI name {self.name} is already in use by AMI {first}", str(error))
        self.ec2.deregister_image(ImageId=first)
        self.assertTrue(self.image().startswith("ami-"))

    def test_of_eight_that_want_a_name_at_once_one_gets_it(self) -> None:
        instance, made, refused = self.instance(), [], []

        def want() -> None:
            try:
                made.append(self.ec2.create_image(InstanceId=instance, Name=self.name))
            except ClientError as error:
                refused.append(error.response["Error"]["Code"])

        threads = [threading.Thread(target=want) for _ in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        self.assertEqual((len(made), refused), (1, ["InvalidAMIName.Duplicate"] * 7))

    def test_a_name_that_ec2_does_not_take_is_malformed(self) -> None:
        for name in ("x" * 129, "名前の画像", "a:b:c"):
            with self.subTest(name=name):
                self.refused("InvalidAMIName.Malformed", self.image, name=name)

    def test_tags_of_create_image_reach_image_and_snapshot(self) -> None:
        specs = [{"ResourceType": kind, "Tags": [{"Key": "kind", "Value": kind}]} for kind in ("image", "snapshot")]
        image = self.ec2.describe_images(ImageIds=[self.image(TagSpecifications=specs)])["Images"][0]
        snapshot = self.ec2.describe_snapshots(SnapshotIds=[image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]])["Snapshots"][0]
        self.assertEqual(image["Tags"], [{"Key": "kind", "Value": "image"}])
        self.assertEqual(snapshot["Tags"], [{"Key": "kind", "Value": "snapshot"}])
        self.assertEqual(image["SourceImageId"], self.server.source)

    def test_sources_are_debians_and_ours_are_ours(self) -> None:
        mine = self.image()
        owned = [one["ImageId"] for one in self.ec2.describe_images(Owners=["self"])["Images"]]
        self.assertIn(mine, owned)
        self.assertNotIn(self.server.source, owned)
        filters = {"name": "debian-12-amd64-*", "architecture": "x86_64", "virtualization-type": "hvm", "root-device-type": "ebs", "state": "available"}
        found = self.ec2.describe_images(
            Owners=["136693071363"], Filters=[{"Name": key, "Values": [value]} for key, value in filters.items()]
        )["Images"]
        newest = max(found, key=lambda one: one["CreationDate"])
        self.assertEqual((len(found), newest["Name"], newest["ImageId"]), (2, NEWEST, self.server.source))

    def test_pages_hold_every_image_once(self) -> None:
        made = {self.image(f"{self.name}-{n}") for n in range(5)}
        pages = list(self.ec2.get_paginator("describe_images").paginate(Owners=["self"], PaginationConfig={"PageSize": 2}))
        seen = [one["ImageId"] for page in pages for one in page["Images"]]
        self.assertTrue(all(len(page["Images"]) <= 2 for page in pages))
        self.assertEqual(len(seen), len(set(seen)))
        self.assertLessEqual(made, set(seen))

    def test_a_deregistered_image_is_gone_and_its_snapshot_is_not(self) -> None:
        image_id = self.image()
        snapshot = self.ec2.describe_images(ImageIds=[image_id])["Images"][0]["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
        self.refused("InvalidSnapshot.InUse", self.ec2.delete_snapshot, SnapshotId=snapshot)
        self.ec2.deregister_image(ImageId=image_id)
        self.refused("InvalidAMIID.NotFound", self.ec2.describe_images, ImageIds=[image_id])
        orphans = [one["id"] for one in self.server.control("GET", "left")["snapshots"] if one["orphan"]]
        self.assertIn(snapshot, orphans)
        self.ec2.delete_snapshot(SnapshotId=snapshot)
        self.refused("InvalidSnapshot.NotFound", self.ec2.describe_snapshots, SnapshotIds=[snapshot])

    def test_deregistering_can_take_the_snapshots_along(self) -> None:
        image_id = self.image()
        self.ec2.deregister_image(ImageId=image_id, DeleteAssociatedSnapshots=True)
        self.assertNotIn(image_id, [one["image"] for one in self.server.control("GET", "left")["snapshots"]])

    def test_a_source_cannot_be_deregistered_by_us(self) -> None:
        self.refused("AuthFailure", self.ec2.deregister_image, ImageId=self.server.source)

    def test_a_copy_in_another_region_has_tags_and_a_unique_name_there(self) -> None:
        image_id, there = self.image(), self.server.client("us-west-2")
        spec = {
            "SourceImageId": image_id, "SourceRegion": "ap-northeast-1", "Name": self.name, "ClientToken": self.name,
            "TagSpecifications": [{"ResourceType": "image", "Tags": [{"Key": "a", "Value": "b"}]}],
        }  # fmt: skip
        copied = there.copy_image(**spec)["ImageId"]
        self.assertEqual(there.copy_image(**spec)["ImageId"], copied, "one client token, one copy")
        found = there.describe_images(ImageIds=[copied])["Images"][0]
        self.assertEqual((found["Tags"], found["Architecture"]), ([{"Key": "a", "Value": "b"}], "x86_64"))
        self.refused("InvalidAMIName.Duplicate", there.copy_image, **{**spec, "ClientToken": "other"})


class Instances(Api):
    def test_architecture_of_type_and_image_must_match(self) -> None:
        self.refused("InvalidParameterValue", self.instance, InstanceType="t4g.small")

    def test_unknown_image_and_key_are_refused(self) -> None:
        self.refused("InvalidAMIID.NotFound", self.instance, ImageId="ami-0123456789abcdef0")
        self.refused("InvalidKeyPair.NotFound", self.instance, KeyName="nobody")

    def test_one_client_token_makes_one_instance(self) -> None:
        self.assertEqual(self.instance(ClientToken=self.name), self.instance(ClientToken=self.name))

    def test_a_group_in_use_cannot_be_deleted(self) -> None:
        group = self.ec2.create_security_group(GroupName=self.name, Description="x")["GroupId"]
        instance = self.instance(SecurityGroupIds=[group])
        self.refused("DependencyViolation", self.ec2.delete_security_group, GroupId=group)
        self.ec2.terminate_instances(InstanceIds=[instance])
        self.ec2.delete_security_group(GroupId=group)

    def test_what_is_left_is_listed_and_then_gone(self) -> None:
        instance = self.instance()
        self.ec2.create_key_pair(KeyName=self.name, KeyType="ed25519")
        left = self.server.control("GET", "left")
        self.assertIn(instance, [one["id"] for one in left["instances"]])
        self.assertIn(self.name, [one["name"] for one in left["key_pairs"]])
        self.assertTrue(left["volumes"])
        self.ec2.terminate_instances(InstanceIds=[instance])
        self.ec2.delete_key_pair(KeyName=self.name)
        left = self.server.control("GET", "left")
        self.assertEqual([left[what] for what in ("instances", "key_pairs", "volumes", "network_interfaces")], [[], [], [], []])


class Groups(Api):
    def test_groups_and_load_balancers_work_without_containers(self) -> None:
        account = Account(self.server)
        account.template("instant", account.light("instant"), "blue")
        account.balancer("elb-instant")
        account.group("instant", "instant", 2, LoadBalancerNames=["elb-instant"])
        account.wait_healthy("elb-instant", "instant", 2)
        account.resize("instant", 0)
        account.wait_size("instant", 0)
        with self.assertRaises(ClientError) as caught:
            account.group("instant", "instant", 1)
        self.assertEqual(caught.exception.response["Error"]["Code"], "AlreadyExists")
        account.asg.delete_auto_scaling_group(AutoScalingGroupName="instant")
        account.elb.delete_load_balancer(LoadBalancerName="elb-instant")
        left = self.server.control("GET", "left")
        self.assertEqual([left[what] for what in ("auto_scaling_groups", "load_balancers", "instances")], [[], [], []])

    def test_a_group_with_instances_is_deleted_by_force_only(self) -> None:
        account = Account(self.server)
        account.template("forced", account.light("forced"), "blue")
        account.group("forced", "forced", 1)
        until(lambda: account.members("forced"), PATIENCE)
        self.refused("ResourceInUse", account.asg.delete_auto_scaling_group, AutoScalingGroupName="forced")
        account.clear("forced")

    def test_an_instance_can_be_attached_and_ended_through_its_group(self) -> None:
        account = Account(self.server)
        account.template("attached", account.light("attached"), "blue")
        account.group("attached", "attached", 0)
        self.addCleanup(account.clear, "attached")
        one = self.instance()
        account.asg.attach_instances(AutoScalingGroupName="attached", InstanceIds=[one])
        self.assertEqual([(each["InstanceId"], each["LifecycleState"]) for each in account.members("attached")], [(one, "InService")])
        account.asg.terminate_instance_in_auto_scaling_group(InstanceId=one, ShouldDecrementDesiredCapacity=True)
        account.wait_size("attached", 0)
        state = self.ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"][0]["State"]["Name"]
        self.assertEqual(state, "terminated")

    def test_sizes_move_the_capacity_into_their_bounds(self) -> None:
        account = Account(self.server)
        account.template("bounds", account.light("bounds"), "blue")
        account.group("bounds", "bounds", 0)
        self.addCleanup(account.clear, "bounds")
        for minimum, maximum, desired in ((2, 4, 2), (0, 4, 2), (0, 1, 1), (0, 0, 0)):
            account.asg.update_auto_scaling_group(AutoScalingGroupName="bounds", MinSize=minimum, MaxSize=maximum)
            found = account.asg.describe_auto_scaling_groups(AutoScalingGroupNames=["bounds"])["AutoScalingGroups"][0]
            self.assertEqual(found["DesiredCapacity"], desired)
        self.refused("ValidationError", account.asg.set_desired_capacity, AutoScalingGroupName="bounds", DesiredCapacity=1)


class Knobs(Api):
    def test_throttled_calls_are_refused_and_then_answered(self) -> None:
        self.server.knobs(throttle={"action": "DescribeImages", "count": 2})
        for _ in range(2):
            error = self.refused("RequestLimitExceeded", self.ec2.describe_images)
            self.assertEqual(error.response["ResponseMetadata"]["HTTPStatusCode"], 503)
        self.ec2.describe_images()

    def test_a_denied_action_is_unauthorized_and_others_are_not(self) -> None:
        self.server.knobs(deny={"action": "CreateTags"})
        args = {"Resources": [self.server.source], "Tags": [{"Key": "a", "Value": "b"}]}
        self.refused("UnauthorizedOperation", self.ec2.create_tags, **args)
        self.ec2.describe_tags()

    def test_any_error_can_be_asked_for(self) -> None:
        self.server.knobs(error={"action": "DescribeInstances", "code": "InvalidInstanceID.NotFound", "message": "not yet", "count": 1})
        self.refused("InvalidInstanceID.NotFound", self.ec2.describe_instances)
        self.ec2.describe_instances()

    def test_an_error_is_one_in_every_services_protocol(self) -> None:
        self.server.knobs(error={"code": "ExpiredToken", "message": "it has expired", "status": 403})
        services = {
            "ec2": "describe_vpcs", "autoscaling": "describe_auto_scaling_groups", "elb": "describe_load_balancers",
            "elbv2": "describe_target_groups", "codedeploy": "list_applications", "cloudwatch": "list_metrics", "iam": "list_roles",
        }  # fmt: skip
        for service, call in services.items():
            with self.subTest(service=service):
                error = self.refused("ExpiredToken", getattr(self.server.client(service=service), call))
                self.assertEqual(error.response["Error"]["Message"], "it has expired")

    def test_a_lost_reply_has_done_its_work(self) -> None:
        for how in ("close", "500"):
            name = f"{self.name}-{how}"
            instance = self.instance()
            self.server.knobs(lose_reply={"action": "CreateImage", "count": 1, "how": how})
            with self.subTest(how=how), self.assertRaises((ConnectionFailed, HTTPClientError, ClientError)):
                self.ec2.create_image(InstanceId=instance, Name=name)
            self.refused("InvalidAMIName.Duplicate", self.ec2.create_image, InstanceId=instance, Name=name)

    def test_an_image_stays_pending_for_the_polls_asked_for(self) -> None:
        self.server.knobs(pending_polls=3)
        image_id = self.image()
        self.assertEqual([self.state(image_id) for _ in range(5)], ["pending"] * 3 + ["available"] * 2)

    def test_a_pending_image_cannot_be_started_and_can_be_released(self) -> None:
        self.server.knobs(pending_polls=1000)
        image_id = self.image()
        self.refused("InvalidAMIID.Unavailable", self.instance, ImageId=image_id)
        self.server.control("POST", "images/release")
        self.assertEqual(self.state(image_id), "available")

    def test_a_failed_image_fails_after_it_was_pending(self) -> None:
        self.server.knobs(pending_polls=1, fail_image={"name": self.name})
        image_id = self.image()
        self.assertEqual([self.state(image_id) for _ in range(2)], ["pending", "failed"])
        image = self.ec2.describe_images(ImageIds=[image_id])["Images"][0]
        self.assertEqual(image["StateReason"]["Code"], "Client.InternalError")

    def test_latency_is_felt(self) -> None:
        self.server.knobs(latency={"action": "DescribeRegions", "seconds": 0.3})
        began = time.monotonic()
        self.ec2.describe_regions()
        self.assertGreaterEqual(time.monotonic() - began, 0.3)

    def test_calls_are_counted_with_what_the_caller_got(self) -> None:
        self.server.control("POST", "calls/reset")
        self.server.knobs(throttle={"action": "DescribeVpcs", "count": 1})
        self.refused("RequestLimitExceeded", self.ec2.describe_vpcs)
        self.ec2.describe_vpcs()
        calls = self.server.control("GET", "calls")
        self.assertEqual(calls["by_agent"], {"other": {"DescribeVpcs": 2}})
        self.assertEqual([(one["status"], one["code"], one["knob"]) for one in calls["calls"]], [(503, "RequestLimitExceeded", "throttle"), (200, None, None)])

    def test_a_wrong_knob_is_an_error_that_names_the_right_ones(self) -> None:
        self.assertIn("throttle", self.server.knobs(throtle={})["error"])

    def test_what_moto_cannot_do_is_refused_at_once_and_says_so(self) -> None:
        error = self.refused("UnsupportedOperation", self.ec2.reset_image_attribute, ImageId=self.server.source, Attribute="launchPermission")
        self.assertIn("the local EC2 cannot do this", str(error))


class Run(unittest.TestCase):
    def test_the_exit_code_is_the_commands_and_it_sees_the_endpoint(self) -> None:
        script = 'test "$AWS_REGION" = us-west-2 && curl -sf "$OVENBIRD_LOCAL_EC2/about" >/dev/null && exit 7'
        done = subprocess.run([str(LAUNCHER), "run", "--instant", "--region", "us-west-2", "--", "sh", "-c", script], check=False)
        self.assertEqual(done.returncode, 7)


if __name__ == "__main__":
    unittest.main()
