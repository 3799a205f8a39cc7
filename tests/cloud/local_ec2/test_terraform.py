# Owns: Terraform against a local EC2 through the stand-in provider: the modules of terraform/, and what the provider does as the real
# one does. Must not: touch the checkout; each test has a copy. Invariant: instances are instant ones; nothing here boots.
"""Apply, an empty second plan, updates, waits, imports and destroy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Any

from local_ec2.__main__ import DROPPED, environment
from local_ec2.testing import Running

TREE = Path(__file__).resolve().parents[3] / "terraform"
EIGHT = ("ami_id", "min_size", "max_size", "elb_name")
SILENT = {"TF_CLI_ARGS": "-no-color", "TF_IN_AUTOMATION": "1"}
HEAD = 'terraform {\n  required_providers {\n    aws = {\n      source = "hashicorp/aws"\n    }\n  }\n}\nprovider "aws" {}\n'


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

    def apply(self) -> None:
        self.terraform("apply", "-input=false", "plan")

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
        for balancer in ("classic", "application"):
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
                work.terraform("destroy", "-auto-approve", "-input=false", *values)
                left = self.server.control("GET", "left")
                self.assertEqual([left[name] for name in ("instances", "launch_templates", "security_groups")], [[], [], []])
                for service, call, key in (
                    ("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups"), ("elb", "describe_load_balancers", "LoadBalancerDescriptions"),
                    ("elbv2", "describe_load_balancers", "LoadBalancers"), ("elbv2", "describe_target_groups", "TargetGroups"),
                    ("cloudwatch", "describe_alarms", "MetricAlarms"), ("codedeploy", "list_applications", "applications"), ("iam", "list_roles", "Roles"),
                ):  # fmt: skip
                    self.assertEqual(getattr(self.server.client(service=service), call)()[key], [], f"{service} {key}")

    def test_a_change_by_hand_is_drift_and_an_import_finds_everything(self) -> None:
        work = Workdir(self, self.server)
        work.plan("-var-file=variables.tfvars")
        work.apply()
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


if __name__ == "__main__":
    unittest.main()
