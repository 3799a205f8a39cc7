# Owns: launch templates and launch configurations, for Terraform. Must not: know groups.
# Invariant: what a version was made with is what `read` gives back, so that an unchanged configuration plans nothing.
"""What an instance is."""

from __future__ import annotations

import base64
from typing import Any

from .terraform import Attributes, Call, Gone, Resource, first, given, next_number, pairs, prefix_of, unpaired

# argument → key of LaunchTemplateData, for what is a plain value.
PLAIN = {
    "image_id": "ImageId", "instance_type": "InstanceType", "key_name": "KeyName", "user_data": "UserData", "ebs_optimized": "EbsOptimized",
    "vpc_security_group_ids": "SecurityGroupIds", "instance_initiated_shutdown_behavior": "InstanceInitiatedShutdownBehavior",
}  # fmt: skip
METADATA = {
    "http_endpoint": "HttpEndpoint", "http_tokens": "HttpTokens", "http_put_response_hop_limit": "HttpPutResponseHopLimit",
    "http_protocol_ipv6": "HttpProtocolIpv6", "instance_metadata_tags": "InstanceMetadataTags",
}  # fmt: skip
EBS = {
    "delete_on_termination": "DeleteOnTermination", "encrypted": "Encrypted", "iops": "Iops", "kms_key_id": "KmsKeyId",
    "snapshot_id": "SnapshotId", "throughput": "Throughput", "volume_size": "VolumeSize", "volume_type": "VolumeType",
}  # fmt: skip
BLOCKS = ("iam_instance_profile", "metadata_options", "monitoring", "tag_specifications", "block_device_mappings")


def mapped(block: Attributes, names: dict[str, str]) -> dict[str, Any]:
    return given(**{key: block.get(name) for name, key in names.items()})


def unmapped(data: dict[str, Any], names: dict[str, str]) -> Attributes:
    return {name: data.get(key) for name, key in names.items()}


class LaunchTemplate(Resource):
    title = "EC2 Launch Template"
    gone = ("InvalidLaunchTemplateId.NotFound", "InvalidLaunchTemplateId.NotFoundException", "InvalidLaunchTemplateName.NotFoundException")

    @staticmethod
    def data(planned: Attributes) -> dict[str, Any]:
        data = mapped(planned, PLAIN)
        if profile := first(planned.get("iam_instance_profile")):
            data["IamInstanceProfile"] = mapped(profile, {"arn": "Arn", "name": "Name"})
        if options := first(planned.get("metadata_options")):
            data["MetadataOptions"] = mapped(options, METADATA)
        if monitoring := first(planned.get("monitoring")):
            data["Monitoring"] = {"Enabled": bool(monitoring.get("enabled"))}
        if specs := planned.get("tag_specifications"):
            data["TagSpecifications"] = [{"ResourceType": one["resource_type"], "Tags": pairs(one["tags"])} for one in specs]
        if mappings := planned.get("block_device_mappings"):
            data["BlockDeviceMappings"] = [
                given(DeviceName=one.get("device_name"), NoDevice=one.get("no_device"), VirtualName=one.get("virtual_name"), Ebs=ebs_of(first(one.get("ebs"))))
                for one in mappings
            ]
        return data

    def create(self, call: Call) -> None:
        call.only(*PLAIN, *BLOCKS, "description")
        tags = given(TagSpecifications=[{"ResourceType": "launch-template", "Tags": call.tags()}] if call.tags() else None)
        answer = call.client("ec2").create_launch_template(
            LaunchTemplateName=call.name(), LaunchTemplateData=self.data(call.planned), **given(VersionDescription=call.planned.get("description")), **tags
        )
        call.made["id"] = answer["LaunchTemplate"]["LaunchTemplateId"]

    def read(self, call: Call) -> Attributes:
        ec2 = call.client("ec2")
        found = ec2.describe_launch_templates(LaunchTemplateIds=[call.id])["LaunchTemplates"]
        if not found:
            raise Gone
        template = found[0]
        version = ec2.describe_launch_template_versions(LaunchTemplateId=call.id, Versions=["$Latest"])["LaunchTemplateVersions"][0]
        data = version["LaunchTemplateData"]
        owner = "123456789012"
        out: Attributes = {
            "id": call.id, "name": template["LaunchTemplateName"], "name_prefix": prefix_of(template["LaunchTemplateName"]), "latest_version": template["LatestVersionNumber"],
            "default_version": template["DefaultVersionNumber"], "description": version.get("VersionDescription") or None,
            "arn": f"arn:aws:ec2:{call.region}:{owner}:launch-template/{call.id}", **unmapped(data, PLAIN),
        }  # fmt: skip
        if out["vpc_security_group_ids"] is None and call.prior.get("vpc_security_group_ids") == []:
            out["vpc_security_group_ids"] = []
        profile = data.get("IamInstanceProfile")
        out["iam_instance_profile"] = [unmapped(profile, {"arn": "Arn", "name": "Name"})] if profile else []
        options = data.get("MetadataOptions")
        out["metadata_options"] = [unmapped(options, METADATA)] if options else []
        out["monitoring"] = [{"enabled": data["Monitoring"]["Enabled"]}] if data.get("Monitoring") else []
        specs = [one for one in data.get("TagSpecifications", []) if one["ResourceType"] != "launch-template"]  # moto mixes in the template's own
        out["tag_specifications"] = [{"resource_type": one["ResourceType"], "tags": unpaired(one["Tags"])} for one in specs]
        out["block_device_mappings"] = [
            {
                "device_name": one.get("DeviceName"), "no_device": one.get("NoDevice"), "virtual_name": one.get("VirtualName"),
                "ebs": [ebs_from(one["Ebs"])] if one.get("Ebs") else [],
            }  # fmt: skip
            for one in data.get("BlockDeviceMappings", [])
        ]
        return out | call.read_tags(unpaired(template.get("Tags")))

    def update(self, call: Call) -> None:
        call.only(*PLAIN, *BLOCKS, "description", "default_version", "update_default_version")
        ec2 = call.client("ec2")
        latest = call.prior["latest_version"]
        if call.changed(*PLAIN, *BLOCKS):
            answer = ec2.create_launch_template_version(
                LaunchTemplateId=call.id, LaunchTemplateData=self.data(call.planned), **given(VersionDescription=call.planned.get("description"))
            )
            latest = answer["LaunchTemplateVersion"]["VersionNumber"]
        default = latest if call.planned.get("update_default_version") else call.planned.get("default_version")
        if default and default != call.prior.get("default_version"):
            ec2.modify_launch_template(LaunchTemplateId=call.id, DefaultVersion=str(default))
        retag(call, [call.id])

    def delete(self, call: Call) -> None:
        call.client("ec2").delete_launch_template(LaunchTemplateId=call.id)


def ebs_of(block: Attributes) -> dict[str, Any] | None:
    """The schema has `encrypted` and `delete_on_termination` as strings, empty for unset."""
    if not block:
        return None
    data = mapped(block, EBS)
    for key in ("DeleteOnTermination", "Encrypted"):
        if key in data:
            data[key] = data[key] in (True, "true", "1")
    return data


def ebs_from(data: dict[str, Any]) -> Attributes:
    out = unmapped(data, EBS)
    for name in ("delete_on_termination", "encrypted"):
        if out[name] is not None:
            out[name] = str(out[name]).lower()
    return out


def retag(call: Call, ids: list[str]) -> None:
    """Of what EC2 itself tags."""
    more, less = call.tag_changes()
    if less:
        call.client("ec2").delete_tags(Resources=ids, Tags=[{"Key": key} for key in less])
    if more:
        call.client("ec2").create_tags(Resources=ids, Tags=pairs(more))


class LaunchConfiguration(Resource):
    title = "Auto Scaling Launch Configuration"

    def create(self, call: Call) -> None:
        call.only("image_id", "instance_type", "key_name", "security_groups", "user_data", "user_data_base64", "iam_instance_profile", "enable_monitoring")
        planned, name = call.planned, call.name(f"terraform-{next_number():x}-")
        user_data = planned.get("user_data_base64") or (base64.b64encode(planned["user_data"].encode()).decode() if planned.get("user_data") else None)
        call.client("autoscaling").create_launch_configuration(
            LaunchConfigurationName=name,
            **given(
                ImageId=planned["image_id"], InstanceType=planned["instance_type"], KeyName=planned.get("key_name"), UserData=user_data,
                SecurityGroups=planned.get("security_groups"), IamInstanceProfile=planned.get("iam_instance_profile"),
                InstanceMonitoring={"Enabled": planned.get("enable_monitoring") is not False},
            ),
        )  # fmt: skip
        call.made.update(id=name, name=name)

    def read(self, call: Call) -> Attributes:
        found = call.client("autoscaling").describe_launch_configurations(LaunchConfigurationNames=[call.id])["LaunchConfigurations"]
        if not found:
            raise Gone
        one = found[0]
        return {
            "id": call.id, "name": call.id, "name_prefix": prefix_of(call.id), "arn": one["LaunchConfigurationARN"], "image_id": one["ImageId"], "instance_type": one["InstanceType"],
            "key_name": one.get("KeyName") or None, "iam_instance_profile": one.get("IamInstanceProfile") or None,
            "security_groups": one.get("SecurityGroups") or call.prior.get("security_groups"), "ebs_optimized": bool(one.get("EbsOptimized")),
        }  # fmt: skip

    def delete(self, call: Call) -> None:
        call.client("autoscaling").delete_launch_configuration(LaunchConfigurationName=call.id)


RESOURCES = {"aws_launch_template": LaunchTemplate(), "aws_launch_configuration": LaunchConfiguration()}
