# Owns: data sources, for Terraform. Must not: make anything. Invariant: as many results as the real one wants, or an error that says how many.
"""Looking up."""

from __future__ import annotations

from typing import Any

from .terraform import Attributes, Call, Refused, given, unpaired


def filters(call: Call) -> list[dict[str, Any]]:
    found = [{"Name": one["name"], "Values": one["values"]} for one in call.config.get("filter") or []]
    return found + [{"Name": f"tag:{key}", "Values": [value]} for key, value in (call.config.get("tags") or {}).items()]


def one_of(found: list[dict[str, Any]], what: str) -> dict[str, Any]:
    if not found:
        raise Refused(f"no matching {what} found")
    if len(found) > 1:
        raise Refused(f"multiple {what}s matched; use additional constraints to reduce matches to a single {what}")
    return found[0]


def vpc(call: Call) -> Attributes:
    config = call.config
    asked = filters(call) + ([{"Name": "is-default", "Values": ["true"]}] if config.get("default") else [])
    found = call.client("ec2").describe_vpcs(**given(VpcIds=[config["id"]] if config.get("id") else None, Filters=asked))["Vpcs"]
    one = one_of(found, "EC2 VPC")
    return {
        "id": one["VpcId"], "cidr_block": one["CidrBlock"], "default": bool(one.get("IsDefault")), "state": one["State"], "owner_id": one.get("OwnerId"),
        "arn": f"arn:aws:ec2:{call.region}:123456789012:vpc/{one['VpcId']}", "instance_tenancy": one.get("InstanceTenancy"), "region": call.region,
        "dhcp_options_id": one.get("DhcpOptionsId"), "tags": unpaired(one.get("Tags")),
    }  # fmt: skip


def subnets(call: Call) -> Attributes:
    found = call.client("ec2").describe_subnets(**given(Filters=filters(call)))["Subnets"]
    return {"id": call.region, "region": call.region, "ids": sorted(one["SubnetId"] for one in found)}


def ami(call: Call) -> Attributes:
    config = call.config
    found = call.client("ec2").describe_images(**given(Owners=config.get("owners"), Filters=filters(call)))["Images"]
    if config.get("most_recent"):
        found = sorted(found, key=lambda image: image["CreationDate"])[-1:]
    one = one_of(found, "EC2 AMI")
    return {
        "id": one["ImageId"], "image_id": one["ImageId"], "name": one["Name"], "architecture": one["Architecture"], "creation_date": one["CreationDate"],
        "owner_id": one["OwnerId"], "state": one["State"], "root_device_name": one.get("RootDeviceName"), "root_device_type": one.get("RootDeviceType"),
        "virtualization_type": one.get("VirtualizationType"), "description": one.get("Description"), "tags": unpaired(one.get("Tags")),
        "arn": f"arn:aws:ec2:{call.region}::image/{one['ImageId']}", "region": call.region,
    }  # fmt: skip


def caller_identity(call: Call) -> Attributes:
    said = call.client("sts").get_caller_identity()
    return {"id": said["Account"], "account_id": said["Account"], "arn": said["Arn"], "user_id": said["UserId"]}


def region(call: Call) -> Attributes:
    name = call.config.get("region") or call.region
    return {"id": name, "region": name, "name": name, "description": name, "endpoint": f"ec2.{name}.amazonaws.com"}


DATA = {"aws_vpc": vpc, "aws_subnets": subnets, "aws_ami": ami, "aws_caller_identity": caller_identity, "aws_region": region}
