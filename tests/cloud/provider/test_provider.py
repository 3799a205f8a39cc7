# Owns: what the stand-in for hashicorp/aws refuses by itself, as Terraform tells it. Must not: need a local EC2; what it does with
# one is in tests/cloud/local_ec2/test_terraform.py. Invariant: every refusal is beside the same text with nothing wrong in it.
"""The provider's schemas, validators and first words, through the real terraform."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path
from typing import Any

HEAD = 'terraform {\n  required_providers {\n    aws = {\n      source  = "hashicorp/aws"\n      version = "~> 6.0"\n    }\n  }\n}\nprovider "aws" { region = "eu-west-1" }\n'

GOOD = {
    "aws_elb": 'name = "elb-prd"\nsubnets = ["subnet-1"]\nlistener {\n  instance_port = 80\n  instance_protocol = "http"\n  lb_port = 80\n  lb_protocol = "http"\n}\n',
    "aws_autoscaling_group": 'name = "web"\nmin_size = "0"\nmax_size = 1\nvpc_zone_identifier = ["subnet-1"]\nlaunch_template {\n  id = "lt-1"\n  version = 1\n}\n',
    "aws_launch_template": 'name_prefix = "web-"\nimage_id = "ami-1"\nuser_data = base64encode("x")\nmetadata_options {\n  http_tokens = "required"\n}\n',
    "aws_lb_target_group": 'name = "web"\nport = 80\nprotocol = "HTTP"\nvpc_id = "vpc-1"\nhealth_check {\n  path = "/health"\n}\n',
    "aws_launch_configuration": 'name_prefix = "web-"\nimage_id = "ami-1"\ninstance_type = "t3.micro"\n',
}


class Provider(unittest.TestCase):
    folder: Path

    @classmethod
    def setUpClass(cls) -> None:
        holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(holder.cleanup)
        cls.folder = Path(holder.name)
        (cls.folder / "main.tf").write_text(HEAD)
        done = cls.terraform("init", "-input=false")
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)

    @classmethod
    def terraform(cls, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return subprocess.run(
            ["terraform", words[0], "-no-color", *words[1:]], cwd=cls.folder, env=clean | environ, capture_output=True, text=True, check=False
        )  # fmt: skip

    def validated(self, text: str) -> dict[str, Any]:
        (self.folder / "main.tf").write_text(HEAD + text)
        return json.loads(self.terraform("validate", "-json").stdout)

    def resource(self, kind: str, *changes: tuple[str, str]) -> str:
        body = GOOD[kind]
        for old, new in changes:
            self.assertIn(old, body)
            body = body.replace(old, new)
        return f'resource "{kind}" "it" {{\n{body}}}\n'

    def refused(self, summary: str, kind: str, *changes: tuple[str, str]) -> None:
        with self.subTest(kind=kind, changes=changes):
            said = self.validated(self.resource(kind, *changes))
            self.assertFalse(said["valid"])
            self.assertIn(summary, [one["summary"] for one in said["diagnostics"]], said["diagnostics"])

    def test_what_the_real_provider_accepts_is_valid(self) -> None:
        said = self.validated("".join(self.resource(kind) for kind in GOOD))
        self.assertEqual(said["diagnostics"], [])

    def test_what_the_real_provider_lacks_is_refused(self) -> None:
        self.refused("Unsupported argument", "aws_elb", ("name =", "drain = true\nname ="))
        self.refused("Unsupported argument", "aws_autoscaling_group", ("  version = 1", "  version = 1\n  colour = 1"))
        self.refused("Unsupported block type", "aws_launch_template", ("metadata_options {", "metadata {"))
        self.refused("Missing required argument", "aws_autoscaling_group", ("max_size = 1\n", ""))
        self.refused("Incorrect attribute value type", "aws_autoscaling_group", ('min_size = "0"', 'min_size = "none"'))
        self.refused("Too many metadata_options blocks", "aws_launch_template", ("metadata_options", "metadata_options {}\nmetadata_options"))
        self.refused("Value for unconfigurable attribute", "aws_elb", ("name =", 'dns_name = "x"\nname ='))
        said = self.validated('resource "aws_elb2" "it" {}\n')
        self.assertEqual([one["summary"] for one in said["diagnostics"]], ["Invalid resource type"])

    def test_names_and_values_are_held_to_the_real_ones_rules(self) -> None:
        hyphens = 'invalid value for name (only alphanumeric characters and hyphens allowed): "elb_prd"'
        self.refused(hyphens, "aws_elb", ("elb-prd", "elb_prd"))
        self.refused(hyphens, "aws_lb_target_group", ('"web"', '"elb_prd"'))
        self.refused('"user_data" must be base64-encoded', "aws_launch_template", ('base64encode("x")', '"not, base64"'))
        self.refused("Conflicting configuration arguments", "aws_launch_template", ("name_prefix", 'name = "web"\nname_prefix'))
        self.refused("Invalid combination of arguments", "aws_autoscaling_group", ("launch_template", 'launch_configuration = "x"\nlaunch_template'))
        never = '"wait_for_capacity_timeout" cannot be parsed as a duration: time: invalid duration "never"'
        self.refused(never, "aws_autoscaling_group", ("name =", 'wait_for_capacity_timeout = "never"\nname ='))

    def test_without_a_local_ec2_nothing_is_planned(self) -> None:
        (self.folder / "main.tf").write_text(HEAD + self.resource("aws_elb"))
        done = self.terraform("plan", "-input=false")
        self.assertEqual(done.returncode, 1)
        self.assertIn("Error: No local EC2", done.stderr)
        done = self.terraform("plan", "-input=false", "-refresh=false", AWS_ENDPOINT_URL="http://127.0.0.1:9")
        self.assertIn("1 to add", done.stdout, done.stderr)


if __name__ == "__main__":
    unittest.main()
