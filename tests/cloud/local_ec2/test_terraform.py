# Owns: Terraform against a local EC2 through the stand-in provider: the modules of terraform/, and what the provider does as the real
# one does. Must not: touch the checkout; each test has a copy. Invariant: instances are instant ones; nothing here boots.
"""Apply, an empty second plan, updates, waits, imports and destroy."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Any

from local_ec2.__main__ import DROPPED, environment
from local_ec2.testing import Running, until

PROOF = os.environ.get("OVENBIRD_PROOF") == "1"
TREE = Path(__file__).resolve().parents[3] / "terraform"
EIGHT = ("ami_id", "min_size", "max_size", "elb_name")
SILENT = {"TF_CLI_ARGS": "-no-color", "TF_IN_AUTOMATION": "1"}
HEAD = 'terraform {\n  required_providers {\n    aws = {\n      source = "hashicorp/aws"\n    }\n  }\n}\nprovider "aws" {}\n'


def in_proof(test: Any) -> Any:
    """Long forms: without OVENBIRD_PROOF=1 there is no such test, rather than a skipped one."""
    return test if PROOF else None


class Workdir:
    """A folder with Terraform code, initialised."""

    def __init__(self, test: unittest.TestCase, server: Running, code: str | None = None) -> None:
        holder = tempfile.TemporaryDirectory()
        test.addCleanup(holder.cleanup)
        self.environ = {name: value for name, value in os.environ.items() if name not in DROPPED}
        self.environ |= environment(server.about, "ap-northeast-1") | SILENT
        if code is None:
            shutil.copytree(TREE, Path(holder.name) / "terraform", ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
            self.folder = Path(holder.name) / "terraform" / "environments" / "local"
        else:
            self.folder = Path(holder.name)
            self.write(code)
        self.terraform("init", "-input=false")

    def write(self, code: str) -> None:
        (self.folder / "main.tf").write_text(HEAD + code)

    def fails(self, *words: str) -> str:
        done = subprocess.run(["terraform", *words], cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            raise AssertionError(f"terraform {words[0]} did not fail: {done.stdout}")
        return " ".join(done.stderr.split())

    def terraform(self, *words: str) -> str:
        done = subprocess.run(["terraform", *words], cwd=self.folder, env=self.environ, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"terraform {words[0]}: {done.stdout[-2000:]}{done.stderr}")
        return done.stdout

    def plan(self, *words: str) -> dict[str, list[str]]:
        """Address of what changes → the attributes that do; `replace` and so on when it is not an update."""
        self.terraform("plan", "-input=false", "-out=plan", *words)
        shown = json.loads(self.terraform("show", "-json", "plan"))
        found = {}
        for one in shown.get("resource_changes", []):
            change = one["change"]
            if change["actions"] == ["no-op"]:
                continue
            before, after = change["before"] or {}, change["after"] or {}
            differ = sorted(name for name in {**before, **after, **change["after_unknown"]} if before.get(name) != after.get(name))
            found[one["address"]] = differ if change["actions"] == ["update"] else ["/".join(change["actions"])]
        return found

    def apply(self, *words: str) -> None:
        """Of the last plan; with words, of one that nobody looks at."""
        self.terraform("apply", "-input=false", *(("-auto-approve", *words) if words else ("plan",)))

    def state(self, address: str) -> dict[str, Any]:
        shown = json.loads(self.terraform("show", "-json"))["values"]["root_module"]
        everything = shown.get("resources", []) + [one for child in shown.get("child_modules", []) for one in child["resources"]]
        return next(one["values"] for one in everything if one["address"] == address)


class WithServer(unittest.TestCase):
    maxDiff = None

    """One each, for names are the same in all tests."""

    def setUp(self) -> None:
        self.server = Running("--instant")
        self.addCleanup(self.server.end)


class TheEnvironment(WithServer):
    """terraform/environments/local, as a person uses it."""

    def test_what_was_applied_plans_nothing_and_is_gone_after_destroy(self) -> None:
        for balancer in ("classic", "application") if PROOF else ("classic",):
            with self.subTest(balancer=balancer):
                work = Workdir(self, self.server)
                values = ("-var-file=variables.tfvars", f"-var=balancer={balancer}", f"-var=api_ami_id={self.server.source}")
                created = work.plan(*values)
                self.assertEqual(set(map(tuple, created.values())), {("create",)})
                work.apply()
                self.assertEqual(work.plan(*values), {})
                group = self.server.client(service="autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=["local-web-blue"])["AutoScalingGroups"][0]
                self.assertEqual((group["MinSize"], group["MaxSize"]), (2, 4))
                self.assertEqual(len(group["LoadBalancerNames"]) + len(group["TargetGroupARNs"]), 1)
                self.swap(work, values, "load_balancers" if balancer == "classic" else "target_group_arns")
                work.terraform("destroy", "-auto-approve", "-input=false", *values)
                left = self.server.control("GET", "left")
                self.assertEqual([left[name] for name in ("instances", "launch_templates", "security_groups")], [[], [], []])
                for service, call, key in (
                    ("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups"), ("elb", "describe_load_balancers", "LoadBalancerDescriptions"),
                    ("elbv2", "describe_load_balancers", "LoadBalancers"), ("elbv2", "describe_target_groups", "TargetGroups"),
                    ("cloudwatch", "describe_alarms", "MetricAlarms"), ("codedeploy", "list_applications", "applications"), ("iam", "list_roles", "Roles"),
                ):  # fmt: skip
                    self.assertEqual(getattr(self.server.client(service=service), call)()[key], [], f"{service} {key}")

    def swap(self, work: Workdir, values: tuple[str, ...], attribute: str) -> None:
        """The four steps: each plans what it should and nothing else, and what it did plans nothing."""
        blue, green = (f"module.web.aws_autoscaling_group.{colour}" for colour in ("blue", "green"))
        older = self.server.about["images"]["ap-northeast-1"]["debian-12-amd64-20261101-2200"]
        steps = (
            (
                {"green_ami_id": older, "green_min_size": 2, "green_max_size": 4},
                {green: ["launch_template", "max_size", "min_size"], "module.web.aws_launch_template.green": ["image_id", "latest_version"]},
            ),
            ({"green_elb_name": "elb-prd"}, {green: [attribute]}),
            ({"blue_elb_name": ""}, {blue: [attribute]}),
            ({"blue_min_size": 0, "blue_max_size": 0}, {blue: ["max_size", "min_size"]}),
        )
        said: dict[str, Any] = {}
        for new, expected in steps:
            said |= new
            words = (*values, *(f"-var={name}={value}" for name, value in said.items()))
            self.assertEqual(work.plan(*words), expected)
            work.apply()
            if PROOF:
                self.assertEqual(work.plan(*words), {})

    @in_proof
    def test_a_change_by_hand_is_drift_and_an_import_finds_everything(self) -> None:
        work = Workdir(self, self.server)
        work.apply("-var-file=variables.tfvars")
        self.server.client(service="elb").modify_load_balancer_attributes(
            LoadBalancerName="elb-prd", LoadBalancerAttributes={"ConnectionDraining": {"Enabled": False, "Timeout": 30}}
        )
        self.assertEqual(work.plan("-var-file=variables.tfvars"), {'aws_elb.web["elb-prd"]': ["connection_draining"]})
        work.apply()
        addresses = {
            'aws_elb.web["elb-prd"]': "elb-prd", "aws_security_group.web": work.state("aws_security_group.web")["id"],
            "aws_iam_instance_profile.web": "local-web", "module.web.aws_launch_template.green": work.state("module.web.aws_launch_template.green")["id"],
            "module.web.aws_autoscaling_group.green": "local-web-green", 'module.web.aws_cloudwatch_metric_alarm.cpu_low["blue"]': "local-web-blue-cpu-low",
        }  # fmt: skip
        work.terraform("state", "rm", *addresses)
        (work.folder / "import.tf").write_text("".join(f'import {{\n  to = {address}\n  id = "{name}"\n}}\n' for address, name in addresses.items()))
        changes = work.plan("-var-file=variables.tfvars")
        # What AWS does not keep is written anew, as after an import with the real provider; nothing else differs.
        self.assertEqual(
            changes,
            {
                "aws_security_group.web": ["revoke_rules_on_delete"],
                "module.web.aws_autoscaling_group.green": [
                    "force_delete", "force_delete_warm_pool", "ignore_failed_scaling_activities", "metrics_granularity", "wait_for_capacity_timeout",
                ],
            },
        )  # fmt: skip


TEMPLATE = """
data "aws_subnets" "all" {}
variable "min" { default = 1 }
variable "wait" { default = "10m" }
variable "more" { default = false }
resource "aws_launch_template" "it" {
  name          = "NAME"
  image_id      = "IMAGE"
  instance_type = "t3.micro"
}
resource "aws_autoscaling_group" "it" {
  name                      = "NAME"
  min_size                  = var.min
  max_size                  = var.min
  vpc_zone_identifier       = data.aws_subnets.all.ids
  wait_for_capacity_timeout = var.wait
  launch_template {
    id      = aws_launch_template.it.id
    version = aws_launch_template.it.latest_version
  }
  dynamic "instance_refresh" {
    for_each = var.more ? [1] : []
    content { strategy = "Rolling" }
  }
}
"""


class AsTheRealOne(unittest.TestCase):
    """What hashicorp/aws does and a swap meets. One server for all; names differ."""

    maxDiff = None

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = Running("--instant")
        cls.addClassCleanup(cls.server.end)

    def tearDown(self) -> None:
        self.server.control("DELETE", "knobs")

    def group(self, name: str, text: str = TEMPLATE) -> Workdir:
        return Workdir(self, self.server, text.replace("NAME", name).replace("IMAGE", self.server.source))

    def members(self, name: str) -> int:
        return len(self.server.client(service="autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]["Instances"])

    def test_an_update_waits_for_exactly_the_number_that_was_planned(self) -> None:
        work = self.group("exactly")
        work.apply("-refresh=true")
        self.assertEqual(self.members("exactly"), 1, "a create waits for its instances")
        said = work.fails("apply", "-auto-approve", "-input=false", "-var=min=0", "-var=wait=2s")
        # Sizes 0/0 without a desired capacity: the planned one is still that of before.
        self.assertIn("waiting for Auto Scaling Group (exactly) capacity satisfied: timeout while waiting for state to become 'ok'", said)
        self.assertIn("want exactly 1 healthy instance(s) in Auto Scaling Group, have 0", said)
        # The update itself was carried out, and the refresh says so.
        self.assertEqual(work.plan("-var=min=0", "-var=wait=2s"), {})
        self.assertEqual(work.plan("-var=min=1", "-var=wait=0"), {"aws_autoscaling_group.it": ["max_size", "min_size", "wait_for_capacity_timeout"]})
        work.apply()
        work.apply("-var=min=0", "-var=wait=0")
        self.assertEqual(self.members("exactly"), 0)

    @in_proof
    def test_an_interrupt_ends_a_wait_and_keeps_what_was_done(self) -> None:
        work = self.group("interrupt")
        work.apply("-refresh=true")
        apply = subprocess.Popen(
            ["terraform", "apply", "-auto-approve", "-input=false", "-var=min=0"], cwd=work.folder, env=work.environ,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        until(lambda: self.members("interrupt") == 0, 120)
        apply.send_signal(signal.SIGINT)
        said = " ".join(apply.communicate(timeout=120)[1].split())
        self.assertIn("waiting for Auto Scaling Group (interrupt) capacity satisfied: interrupted", said)
        self.assertEqual(work.plan("-var=min=0"), {})

    @in_proof
    def test_a_failed_scaling_activity_ends_a_wait_with_its_reason(self) -> None:
        self.server.knobs(fail_launch={"group": "failing", "message": "no capacity in this zone"})
        work = self.group("failing")
        said = work.fails("apply", "-auto-approve", "-input=false")
        self.assertIn("waiting for Auto Scaling Group (failing) capacity satisfied: scaling activity", said)
        self.assertIn("no capacity in this zone", said)
        self.assertEqual(work.plan("-refresh=false"), {"aws_autoscaling_group.it": ["delete/create"]}, "a create that failed half-way is tainted")

    def test_what_cannot_be_carried_out_is_refused_by_name(self) -> None:
        work = self.group("refused")
        work.apply("-var=min=0", "-var=more=true")
        again = TEMPLATE.replace("t3.micro", "t3.small")
        work.write(again.replace("NAME", "refused").replace("IMAGE", self.server.source))
        said = work.fails("apply", "-auto-approve", "-input=false", "-var=min=0", "-var=more=true")
        self.assertIn("the local EC2 cannot carry out `instance_refresh`", said)
        self.server.knobs(deny={"action": "CreateSecurityGroup", "agent": "terraform"})
        work.write('resource "aws_security_group" "no" {}\nresource "aws_elb" "no" {\n' + BALANCER + '  access_logs {\n    bucket = "b"\n  }\n}\n')
        said = work.fails("apply", "-auto-approve", "-input=false", "-refresh=false")
        self.assertIn("the local EC2 cannot carry out `access_logs` of aws_elb", said)
        self.assertIn("creating Security Group (): api error UnauthorizedOperation", said)

    def test_what_replaces_and_what_updates(self) -> None:
        code = """
data "aws_subnets" "all" {}
data "aws_vpc" "it" { default = true }
variable "x" { default = "a" }
variable "n" { default = 1 }
resource "aws_launch_template" "update" {
  name_prefix = "replace-"
  image_id    = "IMAGE"
  user_data   = base64encode(var.x)
}
resource "aws_launch_template" "replace" { name = "lt-${var.x}" }
resource "aws_launch_configuration" "replace" {
  name_prefix   = "replace-"
  image_id      = "IMAGE"
  instance_type = "t3.${var.x == "a" ? "micro" : "small"}"
}
resource "aws_autoscaling_group" "update" {
  name                 = "replace"
  min_size             = 0
  max_size             = var.n
  vpc_zone_identifier  = data.aws_subnets.all.ids
  launch_configuration = aws_launch_configuration.replace.name
}
resource "aws_security_group" "update" {
  name        = "replace-same"
  tags        = { x = var.x }
}
resource "aws_security_group" "replace" {
  name        = "replace"
  description = var.x
}
resource "aws_lb_target_group" "replace" {
  name     = "replace"
  port     = 80 + var.n
  protocol = "HTTP"
  vpc_id   = data.aws_vpc.it.id
}
resource "aws_lb_target_group" "update" {
  name                 = "update"
  port                 = 80
  protocol             = "HTTP"
  vpc_id               = data.aws_vpc.it.id
  deregistration_delay = var.n
}
resource "aws_codedeploy_app" "update" { name = "replace-${var.x}" }
"""
        work = self.group("unused", code)
        work.apply("-refresh=true")
        self.assertEqual(work.plan(), {})
        expected = {
            "aws_launch_template.update": ["latest_version", "user_data"], "aws_launch_template.replace": ["delete/create"],
            "aws_launch_configuration.replace": ["delete/create"], "aws_autoscaling_group.update": ["launch_configuration", "max_size"],
            "aws_security_group.update": ["tags", "tags_all"], "aws_security_group.replace": ["delete/create"],
            "aws_lb_target_group.replace": ["delete/create"], "aws_lb_target_group.update": ["deregistration_delay"], "aws_codedeploy_app.update": ["name"],
        }  # fmt: skip
        self.assertEqual(work.plan("-var=x=b", "-var=n=2"), expected)


BALANCER = """
  name               = "refused"
  availability_zones = ["ap-northeast-1a"]
  listener {
    instance_port     = 80
    instance_protocol = "http"
    lb_port           = 80
    lb_protocol       = "http"
  }
"""


if __name__ == "__main__":
    unittest.main()
