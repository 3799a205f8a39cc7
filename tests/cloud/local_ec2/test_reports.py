# Owns: the tests of what a gate reads beside health: CloudWatch's counts and CodeDeploy's revisions. Must not: pass without Docker.
# Invariant: what is counted here was asked for by the test itself, so the numbers are exact.
"""CloudWatch and CodeDeploy, as a gate reads them."""

from __future__ import annotations

import datetime
import unittest
from typing import Any

from local_ec2.swapping import PATIENCE, Account, get
from local_ec2.testing import Running, until

S3 = {"bucket": "releases", "bundleType": "zip"}


class Reports(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Running()
        cls.addClassCleanup(cls.server.end)
        cls.account = Account(cls.server)
        cls.account.template("blue", cls.account.light("blue"), "blue")
        cls.deploy = cls.server.client(service="codedeploy")
        cls.watch = cls.server.client(service="cloudwatch")

    def setUp(self) -> None:
        self.addCleanup(self.server.control, "DELETE", "knobs")

    def sums(self, namespace: str, names: list[str], **dimensions: str) -> list[float]:
        now = datetime.datetime.now(datetime.timezone.utc)
        found = [{"Name": key, "Value": value} for key, value in dimensions.items()]
        queries = [
            {"Id": f"m{n}", "MetricStat": {"Metric": {"Namespace": namespace, "MetricName": name, "Dimensions": found}, "Period": 60, "Stat": "Sum"}}
            for n, name in enumerate(names)
        ]
        minutes = datetime.timedelta(minutes=5)
        answer = self.watch.get_metric_data(MetricDataQueries=queries, StartTime=now - minutes, EndTime=now + minutes)["MetricDataResults"]
        return [sum(one["Values"]) for one in sorted(answer, key=lambda one: one["Id"])]

    def test_cloudwatch_counts_what_clients_got(self) -> None:
        account = self.account
        target_group = account.target_group("tg-counted")
        balancer, alb = account.application_balancer("alb-counted")
        account.listen(balancer, 80, {"Type": "forward", "TargetGroupArn": target_group})
        classic = account.balancer("elb-counted")
        account.group("counted", "blue", 1, LoadBalancerNames=["elb-counted"], TargetGroupARNs=[target_group])
        account.wait_healthy("elb-counted", "counted", 1)
        account.wait_targets(target_group, "counted", 1)
        for address in (classic, alb):
            for _ in range(3):
                self.assertEqual(get(address)[0], 200)
        # A healthy instance's 500 is the instance's; a load balancer without one answers itself.
        self.server.knobs(behave={"group": "counted", "mode": "broken"})
        self.assertEqual([get(address)[0] for address in (classic, alb)], [500, 500])
        self.server.knobs(behave={"group": "counted", "mode": "500"})
        until(lambda: "OutOfService" in account.in_service("elb-counted").values() and "healthy" not in [s for s, _ in account.targets(target_group).values()], PATIENCE)
        self.assertEqual([get(address)[0] for address in (classic, alb)], [503, 503])
        names = ["RequestCount", "HTTPCode_Backend_2XX", "HTTPCode_Backend_5XX", "HTTPCode_ELB_5XX"]
        until(lambda: self.sums("AWS/ELB", names, LoadBalancerName="elb-counted") == [4, 3, 1, 1], PATIENCE)
        where = {"LoadBalancer": balancer.split("loadbalancer/")[1]}
        names = ["RequestCount", "HTTPCode_Target_2XX_Count", "HTTPCode_Target_5XX_Count"]
        until(lambda: self.sums("AWS/ApplicationELB", names, **where, TargetGroup=target_group.rsplit(":", 1)[1]) == [4, 3, 1], PATIENCE)
        until(lambda: self.sums("AWS/ApplicationELB", ["HTTPCode_ELB_5XX_Count"], **where) == [1], PATIENCE)
        account.clear("counted")

    def application(self, name: str, *groups: str) -> dict[str, str]:
        self.deploy.create_application(applicationName=name, computePlatform="Server")
        self.deploy.create_deployment_group(
            applicationName=name, deploymentGroupName=name, autoScalingGroups=[*groups], serviceRoleArn="arn:aws:iam::123456789012:role/deploy"
        )
        return {"applicationName": name, "deploymentGroupName": name}

    def create(self, where: dict[str, str], key: str) -> str:
        return self.deploy.create_deployment(**where, revision={"revisionType": "S3", "s3Location": {**S3, "key": key}})["deploymentId"]

    def status(self, deployment: str) -> str:
        return self.deploy.get_deployment(deploymentId=deployment)["deploymentInfo"]["status"]

    def target(self, deployment: str, instance: str) -> str:
        found = self.deploy.batch_get_deployment_targets(deploymentId=deployment, targetIds=[instance])["deploymentTargets"]
        return found[0]["instanceTarget"]["status"]

    def newest(self, where: dict[str, str], **more: Any) -> list[str]:
        since = {"start": datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)}
        return self.deploy.list_deployments(**where, createTimeRange=since, **more)["deployments"]

    def test_a_deployment_reaches_the_instances_and_new_ones_get_the_last_good_revision_before_they_serve(self) -> None:
        account = self.account
        account.group("deployed", "blue", 1)
        first = until(lambda: [one["InstanceId"] for one in account.members("deployed") if one["LifecycleState"] == "InService"], PATIENCE)[0]
        where = self.application("app", "deployed")
        self.server.knobs(deploy_seconds=3600)
        one = self.create(where, "1.zip")
        until(lambda: self.target(one, first) == "InProgress", PATIENCE)
        self.assertEqual(self.newest(where, includeOnlyStatuses=["Created", "InProgress"]), [one])
        self.server.knobs(deploy_seconds=0)
        until(lambda: self.status(one) == "Succeeded", PATIENCE)
        self.server.knobs(fail_deployment={"group": "app", "message": "broken", "count": 1})
        two = self.create(where, "2.zip")
        until(lambda: self.status(two) == "Failed", PATIENCE)
        group = self.deploy.get_deployment_group(**where)["deploymentGroupInfo"]
        self.assertEqual((group["lastSuccessfulDeployment"]["deploymentId"], group["lastAttemptedDeployment"]["deploymentId"]), (one, two))
        self.assertEqual(self.target(two, first), "Failed")

        self.server.knobs(deploy_seconds=3600)
        account.asg.set_desired_capacity(AutoScalingGroupName="deployed", DesiredCapacity=2)
        second = until(lambda: [one["InstanceId"] for one in account.members("deployed") if one["LifecycleState"] == "Pending:Wait"], PATIENCE)[0]
        self.server.knobs(deploy_seconds=0)
        until(lambda: [one["LifecycleState"] for one in account.members("deployed")] == ["InService"] * 2, PATIENCE)
        hook = self.newest(where)[0]
        info = self.deploy.get_deployment(deploymentId=hook)["deploymentInfo"]
        self.assertEqual((info["creator"], info["revision"]["s3Location"]["key"], self.target(hook, second)), ("autoscaling", "1.zip", "Succeeded"))

        self.server.knobs(fail_deployment={"group": "app", "count": 1})
        account.asg.set_desired_capacity(AutoScalingGroupName="deployed", DesiredCapacity=3)
        until(lambda: [one["LifecycleState"] for one in account.members("deployed")] == ["InService"] * 3, PATIENCE)
        launches = [one["StatusCode"] for one in account.activities("deployed") if one["Description"].startswith("Launching")]
        self.assertEqual(launches, ["Successful", "Failed", "Successful", "Successful"], "the one whose hook failed was given up, and another tried")
        account.clear("deployed")

    def test_a_deployment_to_nobody_fails_and_says_so(self) -> None:
        where = self.application("empty")
        made = self.create(where, "1.zip")
        error = self.deploy.get_deployment(deploymentId=made)["deploymentInfo"]["errorInformation"]
        self.assertEqual((self.status(made), error["code"]), ("Failed", "NO_INSTANCES"))
        with self.assertRaises(self.deploy.exceptions.ApplicationDoesNotExistException):
            self.deploy.list_deployments(applicationName="nobody", deploymentGroupName="nobody")


if __name__ == "__main__":
    unittest.main()
