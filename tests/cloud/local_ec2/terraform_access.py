# Owns: what stands around a fleet, for Terraform: security groups, roles and instance profiles, CodeDeploy.
# Must not: check who may do what; nothing here does. Invariant: deleting leaves nothing that `GET left` would list.
"""Who may, and what is deployed."""

from __future__ import annotations

import json
from typing import Any

from .terraform import Attributes, Call, Gone, Resource, first, given, pairs, unpaired
from .terraform_templates import retag

Rule = dict[str, Any]


def permission(rule: Attributes) -> Rule:
    """One element of `ingress` or `egress` as EC2 takes it."""
    said = {"Description": rule["description"]} if rule.get("description") else {}
    groups = [{"GroupId": one, **said} for one in rule.get("security_groups") or []]
    return {
        "IpProtocol": rule["protocol"], **({} if rule["protocol"] == "-1" else {"FromPort": rule["from_port"], "ToPort": rule["to_port"]}),
        "IpRanges": [{"CidrIp": one, **said} for one in rule.get("cidr_blocks") or []],
        "Ipv6Ranges": [{"CidrIpv6": one, **said} for one in rule.get("ipv6_cidr_blocks") or []],
        "UserIdGroupPairs": groups + ([{"GroupId": rule["group"], **said}] if rule.get("self") else []),
    }  # fmt: skip


def written(permission: Rule, own: str) -> Attributes:
    """And back."""
    pairs_, ranges, ranges6 = permission.get("UserIdGroupPairs", []), permission.get("IpRanges", []), permission.get("Ipv6Ranges", [])
    described = [one["Description"] for one in (*ranges, *ranges6, *pairs_) if one.get("Description")]
    return {
        "protocol": permission["IpProtocol"], "from_port": permission.get("FromPort", 0), "to_port": permission.get("ToPort", 0),
        "cidr_blocks": [one["CidrIp"] for one in ranges], "ipv6_cidr_blocks": [one["CidrIpv6"] for one in ranges6], "prefix_list_ids": [],
        "security_groups": [one["GroupId"] for one in pairs_ if one["GroupId"] != own], "self": any(one["GroupId"] == own for one in pairs_),
        "description": described[0] if described else "",
    }  # fmt: skip


class SecurityGroup(Resource):
    title = "Security Group"
    gone = ("InvalidGroup.NotFound", "InvalidGroupId.NotFound")

    def create(self, call: Call) -> None:
        call.only("description", "vpc_id", "ingress", "egress")
        ec2 = call.client("ec2")
        specs = given(TagSpecifications=[{"ResourceType": "security-group", "Tags": call.tags()}] if call.tags() else None)
        name = call.name()
        answer = ec2.create_security_group(GroupName=name, Description=call.planned["description"], **given(VpcId=call.planned.get("vpc_id")), **specs)
        call.made.update(id=answer["GroupId"], name=name)
        call.planned |= call.made
        # AWS lets everything out of a new group; Terraform's groups let out what they say.
        if there := ec2.describe_security_groups(GroupIds=[call.id])["SecurityGroups"][0]["IpPermissionsEgress"]:
            ec2.revoke_security_group_egress(GroupId=call.id, IpPermissions=there)
        for way in ("ingress", "egress"):
            self._allow(call, way, call.planned.get(way) or [])

    @staticmethod
    def _allow(call: Call, way: str, rules: list[Attributes], verb: str = "authorize") -> None:
        if rules:
            permissions = [permission({**rule, "group": call.id}) for rule in rules]
            getattr(call.client("ec2"), f"{verb}_security_group_{way}")(GroupId=call.id, IpPermissions=permissions)

    def read(self, call: Call) -> Attributes:
        found = call.client("ec2").describe_security_groups(GroupIds=[call.id])["SecurityGroups"]
        if not found:
            raise Gone
        one = found[0]
        return {
            "id": call.id, "name": one["GroupName"], "description": one["Description"], "vpc_id": one["VpcId"], "owner_id": one["OwnerId"],
            "arn": f"arn:aws:ec2:{call.region}:{one['OwnerId']}:security-group/{call.id}",
            "ingress": [written(rule, call.id) for rule in one["IpPermissions"]],
            "egress": [written(rule, call.id) for rule in one["IpPermissionsEgress"]], **call.read_tags(unpaired(one.get("Tags"))),
        }  # fmt: skip

    def update(self, call: Call) -> None:
        for way in ("ingress", "egress"):
            old, new = call.prior.get(way) or [], call.planned.get(way) or []
            self._allow(call, way, [rule for rule in old if rule not in new], "revoke")
            self._allow(call, way, [rule for rule in new if rule not in old])
        retag(call, [call.id])

    def delete(self, call: Call) -> None:
        call.client("ec2").delete_security_group(GroupId=call.id)


class Role(Resource):
    title = "IAM Role"
    gone = ("NoSuchEntity",)

    def create(self, call: Call) -> None:
        call.only("assume_role_policy", "description", "max_session_duration", "path", "force_detach_policies")
        planned, name = call.planned, call.name()
        call.client("iam").create_role(
            RoleName=name, AssumeRolePolicyDocument=planned["assume_role_policy"],
            **given(Description=planned.get("description"), MaxSessionDuration=planned.get("max_session_duration"), Path=planned.get("path"), Tags=call.tags()),
        )  # fmt: skip
        call.made.update(id=name, name=name)

    def read(self, call: Call) -> Attributes:
        one = call.client("iam").get_role(RoleName=call.id)["Role"]
        policy = one["AssumeRolePolicyDocument"]
        before = call.prior.get("assume_role_policy")
        # The same policy in other words is no change; so does the real provider.
        same = before if before and json.loads(before) == policy else json.dumps(policy)
        return {
            "id": call.id, "name": call.id, "arn": one["Arn"], "path": one["Path"], "description": one.get("Description") or call.prior.get("description"),
            "max_session_duration": one.get("MaxSessionDuration") or 3600, "unique_id": one["RoleId"], "assume_role_policy": same,
            "create_date": one["CreateDate"].strftime("%Y-%m-%dT%H:%M:%SZ"), **call.read_tags(unpaired(one.get("Tags"))),
        }  # fmt: skip

    def update(self, call: Call) -> None:
        iam = call.client("iam")
        if call.changed("assume_role_policy"):
            iam.update_assume_role_policy(RoleName=call.id, PolicyDocument=call.planned["assume_role_policy"])
        if call.changed("description", "max_session_duration"):
            iam.update_role(RoleName=call.id, Description=call.planned.get("description") or "", MaxSessionDuration=call.planned["max_session_duration"])
        more, less = call.tag_changes()
        if less:
            iam.untag_role(RoleName=call.id, TagKeys=less)
        if more:
            iam.tag_role(RoleName=call.id, Tags=pairs(more))

    def delete(self, call: Call) -> None:
        call.client("iam").delete_role(RoleName=call.id)


class InstanceProfile(Resource):
    title = "IAM Instance Profile"
    gone = ("NoSuchEntity",)

    def create(self, call: Call) -> None:
        call.only("role", "path")
        name = call.name()
        call.client("iam").create_instance_profile(InstanceProfileName=name, Path=call.planned["path"], **given(Tags=call.tags()))
        call.made.update(id=name, name=name)
        if role := call.planned.get("role"):
            call.client("iam").add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)

    def read(self, call: Call) -> Attributes:
        one = call.client("iam").get_instance_profile(InstanceProfileName=call.id)["InstanceProfile"]
        return {
            "id": call.id, "name": call.id, "arn": one["Arn"], "path": one["Path"], "unique_id": one["InstanceProfileId"],
            "role": one["Roles"][0]["RoleName"] if one["Roles"] else None, "create_date": one["CreateDate"].strftime("%Y-%m-%dT%H:%M:%SZ"),
            **call.read_tags(unpaired(one.get("Tags"))),
        }  # fmt: skip

    def update(self, call: Call) -> None:
        iam = call.client("iam")
        if call.changed("role"):
            if call.prior.get("role"):
                iam.remove_role_from_instance_profile(InstanceProfileName=call.id, RoleName=call.prior["role"])
            if call.planned.get("role"):
                iam.add_role_to_instance_profile(InstanceProfileName=call.id, RoleName=call.planned["role"])
        more, less = call.tag_changes()
        if less:
            iam.untag_instance_profile(InstanceProfileName=call.id, TagKeys=less)
        if more:
            iam.tag_instance_profile(InstanceProfileName=call.id, Tags=pairs(more))

    def delete(self, call: Call) -> None:
        if role := call.prior.get("role"):
            call.client("iam").remove_role_from_instance_profile(InstanceProfileName=call.id, RoleName=role)
        call.client("iam").delete_instance_profile(InstanceProfileName=call.id)


def retag_codedeploy(call: Call, arn: str) -> None:
    more, less = call.tag_changes()
    if less:
        call.client("codedeploy").untag_resource(ResourceArn=arn, TagKeys=less)
    if more:
        call.client("codedeploy").tag_resource(ResourceArn=arn, Tags=pairs(more))


def read_codedeploy_tags(call: Call, arn: str) -> Attributes:
    return call.read_tags(unpaired(call.client("codedeploy").list_tags_for_resource(ResourceArn=arn)["Tags"]))


class Application(Resource):
    title = "CodeDeploy Application"
    gone = ("ApplicationDoesNotExistException",)

    @staticmethod
    def _arn(call: Call, name: str) -> str:
        return f"arn:aws:codedeploy:{call.region}:123456789012:application:{name}"

    def create(self, call: Call) -> None:
        call.only("compute_platform")
        name = call.planned["name"]
        answer = call.client("codedeploy").create_application(applicationName=name, computePlatform=call.planned["compute_platform"], **given(tags=call.tags()))
        call.made["id"] = f"{answer['applicationId']}:{name}"

    def read(self, call: Call) -> Attributes:
        name = call.id.rpartition(":")[2]  # imported by name
        one = call.client("codedeploy").get_application(applicationName=name)["application"]
        arn = self._arn(call, name)
        return {
            "id": f"{one['applicationId']}:{name}", "application_id": one["applicationId"], "name": name, "arn": arn,
            "compute_platform": one["computePlatform"], "linked_to_github": bool(one.get("linkedToGitHub")), **read_codedeploy_tags(call, arn),
        }  # fmt: skip

    def update(self, call: Call) -> None:
        if call.changed("name"):
            call.client("codedeploy").update_application(applicationName=call.prior["name"], newApplicationName=call.planned["name"])
            call.made["id"] = f"{call.prior['application_id']}:{call.planned['name']}"
        retag_codedeploy(call, self._arn(call, call.planned["name"]))

    def delete(self, call: Call) -> None:
        call.client("codedeploy").delete_application(applicationName=call.prior["name"])


class DeploymentGroup(Resource):
    title = "CodeDeploy Deployment Group"
    gone = ("DeploymentGroupDoesNotExistException", "ApplicationDoesNotExistException")

    @staticmethod
    def _specified(planned: Attributes) -> dict[str, Any]:
        style, rollback = first(planned.get("deployment_style")), first(planned.get("auto_rollback_configuration"))
        return given(
            serviceRoleArn=planned["service_role_arn"], deploymentConfigName=planned.get("deployment_config_name"), autoScalingGroups=planned.get("autoscaling_groups"),
            outdatedInstancesStrategy=planned.get("outdated_instances_strategy"),
            deploymentStyle={"deploymentType": style["deployment_type"], "deploymentOption": style["deployment_option"]} if style else None,
            autoRollbackConfiguration={"enabled": bool(rollback.get("enabled")), "events": rollback.get("events") or []} if rollback else None,
        )  # fmt: skip

    HANDLED = (
        "app_name", "deployment_group_name", "service_role_arn", "deployment_config_name", "autoscaling_groups", "outdated_instances_strategy",
        "deployment_style", "auto_rollback_configuration",
    )  # fmt: skip

    @staticmethod
    def _arn(call: Call, application: str, name: str) -> str:
        return f"arn:aws:codedeploy:{call.region}:123456789012:deploymentgroup:{application}/{name}"

    def create(self, call: Call) -> None:
        call.only(*self.HANDLED)
        planned = call.planned
        answer = call.client("codedeploy").create_deployment_group(
            applicationName=planned["app_name"], deploymentGroupName=planned["deployment_group_name"], **self._specified(planned), **given(tags=call.tags())
        )
        call.made["id"] = answer["deploymentGroupId"]

    def read(self, call: Call) -> Attributes:
        known = call.prior if call.prior.get("app_name") else call.planned
        application, name = known.get("app_name"), known.get("deployment_group_name")
        if not application:
            application, _, name = call.id.partition(":")  # imported as application:group
        one = call.client("codedeploy").get_deployment_group(applicationName=application, deploymentGroupName=name)["deploymentGroupInfo"]
        style, rollback = one.get("deploymentStyle") or {}, one.get("autoRollbackConfiguration") or {}
        arn = self._arn(call, application, name)
        return {
            "id": one["deploymentGroupId"], "deployment_group_id": one["deploymentGroupId"], "app_name": application, "deployment_group_name": name, "arn": arn,
            "compute_platform": one.get("computePlatform") or "Server", "service_role_arn": one["serviceRoleArn"],
            "deployment_config_name": one.get("deploymentConfigName"), "outdated_instances_strategy": one.get("outdatedInstancesStrategy") or "UPDATE",
            "autoscaling_groups": [each["name"] for each in one.get("autoScalingGroups", [])] or known.get("autoscaling_groups"),
            "deployment_style": [{"deployment_type": style["deploymentType"], "deployment_option": style["deploymentOption"]}] if style else [],
            "auto_rollback_configuration": [{"enabled": rollback["enabled"], "events": rollback.get("events", [])}] if rollback else [],
            **read_codedeploy_tags(call, arn),
        }  # fmt: skip

    def update(self, call: Call) -> None:
        call.only(*self.HANDLED)
        planned, prior = call.planned, call.prior
        call.client("codedeploy").update_deployment_group(
            applicationName=prior["app_name"], currentDeploymentGroupName=prior["deployment_group_name"],
            newDeploymentGroupName=planned["deployment_group_name"], **self._specified(planned),
        )  # fmt: skip
        retag_codedeploy(call, self._arn(call, planned["app_name"], planned["deployment_group_name"]))

    def delete(self, call: Call) -> None:
        call.client("codedeploy").delete_deployment_group(applicationName=call.prior["app_name"], deploymentGroupName=call.prior["deployment_group_name"])


RESOURCES = {
    "aws_security_group": SecurityGroup(), "aws_iam_role": Role(), "aws_iam_instance_profile": InstanceProfile(),
    "aws_codedeploy_app": Application(), "aws_codedeploy_deployment_group": DeploymentGroup(),
}  # fmt: skip
