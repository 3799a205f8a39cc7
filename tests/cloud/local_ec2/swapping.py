# Owns: what the tests of groups and load balancers share: two colours and two load balancers, a client that counts, waits by meaning.
# Must not: be imported by the server; assert. Invariant: a client that was started has ended when its `with` block has.
"""Help for the tests of groups."""

from __future__ import annotations

import base64
import collections
import http.client
import json
import os
import threading
import time
from typing import Any

from local_ec2.testing import Running, until

HEALTH = {"Target": "HTTP:80/health", "Interval": 5, "Timeout": 2, "UnhealthyThreshold": 2, "HealthyThreshold": 2}
PATIENCE = 480.0
PROOF = os.environ.get("OVENBIRD_PROOF") == "1"
"""Long forms; see `make proof`."""
ZONES = ["ap-northeast-1a", "ap-northeast-1c"]


class Account:
    """Clients of one local EC2, and the calls that a swap makes."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.ec2, self.asg, self.elb, self.elbv2 = (server.client(service=one) for one in ("ec2", "autoscaling", "elb", "elbv2"))

    def light(self, name: str, **more: Any) -> str:
        return self.server.control("POST", "light", {"name": name, **more})["id"]

    def template(self, name: str, image: str, colour: str) -> None:
        data = {"ImageId": image, "InstanceType": "t3.micro", "UserData": base64.b64encode(f"#!/bin/sh\ncolour={colour}\n".encode()).decode()}
        self.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)

    def balancer(self, name: str, drain: int = 60) -> str:
        listener = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstanceProtocol": "HTTP", "InstancePort": 80}
        made = self.elb.create_load_balancer(LoadBalancerName=name, Listeners=[listener], AvailabilityZones=ZONES)
        self.elb.configure_health_check(LoadBalancerName=name, HealthCheck=HEALTH)
        draining = {"Enabled": drain > 0, **({"Timeout": drain} if drain else {})}
        self.elb.modify_load_balancer_attributes(LoadBalancerName=name, LoadBalancerAttributes={"ConnectionDraining": draining})
        return made["DNSName"]

    def target_group(self, name: str, delay: int = 5) -> str:
        vpc = self.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        made = self.elbv2.create_target_group(
            Name=name, Protocol="HTTP", Port=80, VpcId=vpc, HealthCheckPath="/health", HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2, UnhealthyThresholdCount=2, Matcher={"HttpCode": "200-299"},
        )  # fmt: skip
        arn = made["TargetGroups"][0]["TargetGroupArn"]
        delays = [{"Key": "deregistration_delay.timeout_seconds", "Value": str(delay)}]
        self.elbv2.modify_target_group_attributes(TargetGroupArn=arn, Attributes=delays)
        return arn

    def application_balancer(self, name: str) -> tuple[str, str]:
        """ARN and address; it listens nowhere yet."""
        subnets = [one["SubnetId"] for one in self.ec2.describe_subnets()["Subnets"] if one["AvailabilityZone"] in ZONES]
        made = self.elbv2.create_load_balancer(Name=name, Subnets=subnets)["LoadBalancers"][0]
        return made["LoadBalancerArn"], made["DNSName"]

    def listen(self, balancer: str, port: int, *actions: dict[str, Any], **more: Any) -> str:
        made = self.elbv2.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=port, DefaultActions=list(actions), **more)
        return made["Listeners"][0]["ListenerArn"]

    def targets(self, arn: str) -> dict[str, tuple[str, str]]:
        """Instance → state and reason."""
        found = self.elbv2.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
        return {one["Target"]["Id"]: (one["TargetHealth"]["State"], one["TargetHealth"].get("Reason", "")) for one in found}

    def wait_targets(self, arn: str, group: str, size: int) -> list[str]:
        def all_there() -> list[str]:
            ids = [one["InstanceId"] for one in self.members(group) if one["LifecycleState"] == "InService"]
            health = self.targets(arn)
            return ids if len(ids) == size and all(health.get(one) == ("healthy", "") for one in ids) else []

        return until(all_there, PATIENCE)

    def group(self, name: str, template: str, size: int, **more: Any) -> None:
        self.asg.create_auto_scaling_group(
            AutoScalingGroupName=name, MinSize=size, MaxSize=4, AvailabilityZones=ZONES,
            LaunchTemplate={"LaunchTemplateName": template, "Version": "$Latest"}, **more,
        )  # fmt: skip

    def resize(self, name: str, size: int) -> None:
        self.asg.update_auto_scaling_group(AutoScalingGroupName=name, MinSize=size, MaxSize=4 if size else 0)

    def members(self, name: str) -> list[dict[str, Any]]:
        return self.asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]["Instances"]

    def in_service(self, balancer: str) -> dict[str, str]:
        return {one["InstanceId"]: one["State"] for one in self.elb.describe_instance_health(LoadBalancerName=balancer)["InstanceStates"]}

    def wait_healthy(self, balancer: str, group: str, size: int) -> list[str]:
        """Until the group has `size` instances, each InService on the load balancer."""

        def all_there() -> list[str]:
            ids = [one["InstanceId"] for one in self.members(group) if one["LifecycleState"] == "InService"]
            health = self.in_service(balancer)
            return ids if len(ids) == size and all(health.get(one) == "InService" for one in ids) else []

        return until(all_there, PATIENCE)

    def wait_size(self, group: str, size: int) -> None:
        until(lambda: len(self.members(group)) == size, PATIENCE)

    def activities(self, group: str) -> list[dict[str, Any]]:
        return self.asg.describe_scaling_activities(AutoScalingGroupName=group)["Activities"]

    def clear(self, *groups: str) -> None:
        """Delete these groups with all that is in them, and wait for it."""
        for one in groups:
            self.asg.delete_auto_scaling_group(AutoScalingGroupName=one, ForceDelete=True)
        until(lambda: not self.asg.describe_auto_scaling_groups(AutoScalingGroupNames=list(groups))["AutoScalingGroups"], PATIENCE)


def get(address: str, path: str = "/", port: int = 80, timeout: float = 30, **headers: str) -> tuple[int, str]:
    link = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        link.request("GET", path, headers=headers)
        answer = link.getresponse()
        return answer.status, answer.read().decode()
    finally:
        link.close()


class Clients:
    """Connections that ask one load balancer all the time, kept alive as browsers keep theirs."""

    def __init__(self, address: str, connections: int = 20) -> None:
        self.address = address
        self.failed: list[str] = []
        self.colours: collections.Counter[str] = collections.Counter()
        self.longest = 0.0
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(connections)]

    def _ask(self) -> None:
        link = http.client.HTTPConnection(self.address, 80, timeout=30)
        while not self._over.is_set():
            began = time.monotonic()
            try:
                link.request("GET", "/")
                answer = link.getresponse()
                body = answer.read()
                if answer.status != 200:
                    raise http.client.HTTPException(f"status {answer.status}")
                self.colours[json.loads(body)["colour"]] += 1
            except (OSError, http.client.HTTPException) as error:
                self.failed.append(repr(error))
                link.close()
            self.longest = max(self.longest, time.monotonic() - began)
            self._over.wait(0.05)
        link.close()

    def __enter__(self) -> Clients:
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for one in self._threads:
            one.join()
