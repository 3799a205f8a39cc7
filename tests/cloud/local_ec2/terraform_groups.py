# Owns: Auto Scaling groups, their policies and alarms, for Terraform; the order of an update, and what is waited for.
# Must not: start or register an instance; the group does.
# Invariant: sizes, then detach, then attach, then the wait for capacity, as the real provider does it.
"""How many, and on which load balancer."""

from __future__ import annotations

import re
from typing import Any

from .terraform import Attributes, Call, Gone, Pending, Refused, Resource, first, given

HANDLED = (
    "min_size", "max_size", "desired_capacity", "vpc_zone_identifier", "availability_zones", "launch_template", "launch_configuration",
    "load_balancers", "target_group_arns", "health_check_type", "health_check_grace_period", "default_cooldown", "tag", "termination_policies",
    "protect_from_scale_in", "wait_for_capacity_timeout", "wait_for_elb_capacity", "min_elb_capacity", "force_delete",
    "ignore_failed_scaling_activities", "instance_refresh",
)  # fmt: skip
MINUTES = 60.0
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def seconds(text: str) -> float:
    """A duration as Go writes it: `10m`, `1h30m`, `0`."""
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"([\d.]+)(ns|us|µs|ms|s|m|h)", text or ""))


class Kind:
    """What a group can be attached to: classic load balancers by name, target groups by ARN."""

    def __init__(self, attribute: str, word: str, call: str, listed: str, key: str, argument: str) -> None:
        self.attribute, self.word, self.call, self.listed, self.key, self.argument = attribute, word, call, listed, key, argument

    def states(self, call: Call) -> dict[str, str]:
        answer = getattr(call.client("autoscaling"), f"describe_{self.call}")(AutoScalingGroupName=call.id)
        return {one[self.key]: one["State"] for one in answer[self.listed]}

    def change(self, call: Call, verb: str, names: list[str]) -> None:
        getattr(call.client("autoscaling"), f"{verb}_{self.call}")(**{"AutoScalingGroupName": call.id, self.argument: names})


KINDS = (
    Kind("load_balancers", "Load Balancers", "load_balancers", "LoadBalancers", "LoadBalancerName", "LoadBalancerNames"),
    Kind(
        "target_group_arns", "Target Groups", "load_balancer_target_groups", "LoadBalancerTargetGroups", "LoadBalancerTargetGroupARN", "TargetGroupARNs"
    ),  # fmt: skip
)


class Group(Resource):
    title = "Auto Scaling Group"

    # --- calls ---------------------------------------------------------------------------------------------------------

    @staticmethod
    def _specified(planned: Attributes) -> dict[str, Any]:
        template = first(planned.get("launch_template"))
        by = {"LaunchTemplateId": template["id"]} if template.get("id") else {"LaunchTemplateName": template.get("name")}
        return given(
            LaunchTemplate={**by, "Version": template.get("version") or "$Default"} if template else None,
            LaunchConfigurationName=planned.get("launch_configuration"),
            MinSize=planned["min_size"], MaxSize=planned["max_size"],
            VPCZoneIdentifier=",".join(planned.get("vpc_zone_identifier") or []), DefaultCooldown=planned.get("default_cooldown"),
            HealthCheckType=planned.get("health_check_type"), HealthCheckGracePeriod=planned.get("health_check_grace_period"),
            TerminationPolicies=planned.get("termination_policies"), NewInstancesProtectedFromScaleIn=planned.get("protect_from_scale_in"),
        )  # fmt: skip

    @staticmethod
    def _tags(call: Call, name: str, blocks: list[Attributes] | None) -> list[dict[str, Any]]:
        return [
            {"ResourceId": name, "ResourceType": "auto-scaling-group", "Key": one["key"], "Value": one["value"], "PropagateAtLaunch": one["propagate_at_launch"]}
            for one in blocks or []
        ]  # fmt: skip

    def create(self, call: Call) -> None:
        call.only(*HANDLED)
        planned, name = call.planned, call.name()
        call.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=name, **self._specified(planned),
            **given(
                AvailabilityZones=None if planned.get("vpc_zone_identifier") else planned.get("availability_zones"),
                DesiredCapacity=planned.get("desired_capacity"), LoadBalancerNames=planned.get("load_balancers"),
                TargetGroupARNs=planned.get("target_group_arns"), Tags=self._tags(call, name, planned.get("tag")),
            ),
        )  # fmt: skip
        call.made.update(id=name, name=name)

    @staticmethod
    def _described(call: Call) -> dict[str, Any]:
        found = call.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[call.id])["AutoScalingGroups"]
        if not found:
            raise Gone
        return found[0]

    def read(self, call: Call) -> Attributes:
        one, before = self._described(call), call.prior
        template = one.get("LaunchTemplate")
        subnets = [name for name in (one.get("VPCZoneIdentifier") or "").split(",") if name]
        return {
            "id": call.id, "name": call.id, "arn": one["AutoScalingGroupARN"], "min_size": one["MinSize"], "max_size": one["MaxSize"],
            "desired_capacity": one["DesiredCapacity"], "default_cooldown": one.get("DefaultCooldown"),
            "health_check_type": one.get("HealthCheckType") or "EC2", "health_check_grace_period": one.get("HealthCheckGracePeriod"),
            "vpc_zone_identifier": subnets or before.get("vpc_zone_identifier"), "availability_zones": one.get("AvailabilityZones", []),
            "load_balancers": one.get("LoadBalancerNames", []), "target_group_arns": one.get("TargetGroupARNs", []),
            "launch_configuration": one.get("LaunchConfigurationName"),
            "launch_template": [{"id": template.get("LaunchTemplateId"), "name": template.get("LaunchTemplateName"), "version": template.get("Version")}] if template else [],
            "tag": [
                {"key": tag["Key"], "value": tag["Value"], "propagate_at_launch": tag["PropagateAtLaunch"]}
                for tag in one.get("Tags", []) if not tag["Key"].startswith("aws:")
            ],
            "protect_from_scale_in": bool(one.get("NewInstancesProtectedFromScaleIn")),
            "service_linked_role_arn": one.get("ServiceLinkedRoleARN"), "predicted_capacity": 0, "warm_pool_size": 0,
        }  # fmt: skip

    def update(self, call: Call) -> None:
        call.only(*HANDLED)
        planned, client = call.planned, call.client("autoscaling")
        # Only a change of what an instance is starts one.
        if call.changed("launch_template", "launch_configuration") and first(call.config.get("instance_refresh")):
            raise Refused("the local EC2 cannot carry out `instance_refresh`")
        wish = {"DesiredCapacity": planned["desired_capacity"]} if call.changed("desired_capacity") and planned.get("desired_capacity") is not None else {}
        client.update_auto_scaling_group(AutoScalingGroupName=call.id, **self._specified(planned), **wish)
        if call.changed("tag"):
            kept = {one["key"] for one in planned.get("tag") or []}
            if lost := [one for one in call.prior.get("tag") or [] if one["key"] not in kept]:
                client.delete_tags(Tags=self._tags(call, call.id, lost))
            if kept:
                client.create_or_update_tags(Tags=self._tags(call, call.id, planned["tag"]))

    def delete(self, call: Call) -> None:
        client = call.client("autoscaling")
        one = self._described(call)
        if call.prior.get("force_delete"):
            client.delete_auto_scaling_group(AutoScalingGroupName=call.id, ForceDelete=True)
        elif one["Instances"] or one["DesiredCapacity"]:
            client.update_auto_scaling_group(AutoScalingGroupName=call.id, MinSize=0, MaxSize=0, DesiredCapacity=0)

    # --- waits ---------------------------------------------------------------------------------------------------------

    def settle(self, call: Call) -> None:
        if "delete" in (call.op, call.after):
            self._emptied(call)
            return
        creating = "create" in (call.op, call.after)
        if not creating:
            for kind in KINDS:
                self._moved(call, kind)
        if creating or call.changed("min_size", "desired_capacity"):
            self._capacity(call, creating)

    def _emptied(self, call: Call) -> None:
        one = self._described(call)
        if one["Instances"] and not call.prior.get("force_delete"):
            raise Pending(f"{self.title} ({call.id}) drain", f"{len(one['Instances'])} instance(s)", 10 * MINUTES)
        if not one.get("Status"):
            call.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=call.id, ForceDelete=bool(call.prior.get("force_delete")))
        raise Pending(f"{self.title} ({call.id}) delete", one.get("Status") or "exists", 10 * MINUTES)

    @staticmethod
    def _moved(call: Call, kind: Kind) -> None:
        before, after = set(call.prior.get(kind.attribute) or []), set(call.planned.get(kind.attribute) or [])
        if before == after:
            return
        states = kind.states(call)
        if lost := sorted(name for name in before - after if name in states and not states[name].startswith("Remov")):
            kind.change(call, "detach", lost)
            states = kind.states(call)
        if leaving := sorted(name for name, state in states.items() if state == "Removing"):
            raise Pending(f"{Group.title} ({call.id}) {kind.word} removed", f"Removing: {', '.join(leaving)}", 10 * MINUTES)
        if new := sorted(after - before - set(states)):
            kind.change(call, "attach", new)
            states = kind.states(call)
        if coming := sorted(name for name, state in states.items() if state == "Adding"):
            raise Pending(f"{Group.title} ({call.id}) {kind.word} added", f"Adding: {', '.join(coming)}", 10 * MINUTES)

    def _capacity(self, call: Call, creating: bool) -> None:
        planned = call.planned
        limit = seconds(planned.get("wait_for_capacity_timeout") or "")
        if limit == 0:
            return
        one = self._described(call)
        healthy = [i["InstanceId"] for i in one["Instances"] if i["HealthStatus"].lower() == "healthy" and i["LifecycleState"] == "InService"]
        balanced = self._balanced(call, one, healthy)
        # The desired capacity is the planned one: for a group that shrinks it is still the number of before.
        want = max(planned["min_size"], planned.get("desired_capacity") or 0)
        on_balancers = planned.get("wait_for_elb_capacity") or (planned.get("min_elb_capacity") or 0 if creating else 0)
        for have, number, where in ((len(healthy), want, self.title), (len(balanced), on_balancers, "ELB")):
            exactly = not creating and (where == self.title or number > 0)
            if have < number or (exactly and have != number):
                state = f"want {'exactly' if exactly else 'at least'} {number} healthy instance(s) in {where}, have {have}"
                self._failures(call)
                raise Pending(f"{self.title} ({call.id}) capacity satisfied", state, limit)

    @staticmethod
    def _balanced(call: Call, group: dict[str, Any], healthy: list[str]) -> list[str]:
        found = set(healthy)
        for name in group.get("LoadBalancerNames", []):
            states = call.client("elb").describe_instance_health(LoadBalancerName=name)["InstanceStates"]
            found &= {one["InstanceId"] for one in states if one["State"] == "InService"}
        for arn in group.get("TargetGroupARNs", []):
            targets = call.client("elbv2").describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
            found &= {one["Target"]["Id"] for one in targets if one["TargetHealth"]["State"] == "healthy"}
        return sorted(found)

    @staticmethod
    def _failures(call: Call) -> None:
        if call.planned.get("ignore_failed_scaling_activities"):
            return
        for one in call.client("autoscaling").describe_scaling_activities(AutoScalingGroupName=call.id)["Activities"]:
            if one["StatusCode"] == "Failed" and one["StartTime"].timestamp() >= call.began:
                raise Refused(f"waiting for Auto Scaling Group ({call.id}) capacity satisfied: scaling activity ({one['ActivityId']}): Failed: {one.get('StatusMessage', '')}")


class Policy(Resource):
    title = "Auto Scaling Policy"
    ARGUMENTS = {"adjustment_type": "AdjustmentType", "scaling_adjustment": "ScalingAdjustment", "cooldown": "Cooldown", "min_adjustment_magnitude": "MinAdjustmentMagnitude"}

    def create(self, call: Call) -> None:
        call.only("autoscaling_group_name", "policy_type", "enabled", *self.ARGUMENTS)
        planned = call.planned
        if planned.get("policy_type") != "SimpleScaling":
            raise Refused(f"the local EC2 cannot carry out a policy of type `{planned.get('policy_type')}`")
        call.client("autoscaling").put_scaling_policy(
            AutoScalingGroupName=planned["autoscaling_group_name"], PolicyName=planned["name"], PolicyType="SimpleScaling",
            **given(**{key: planned.get(name) for name, key in self.ARGUMENTS.items()}),
        )  # fmt: skip
        call.made["id"] = planned["name"]

    update = create

    def read(self, call: Call) -> Attributes:
        group, _, name = call.id.rpartition("/")  # imported as group/policy
        group = group or call.prior.get("autoscaling_group_name") or call.planned["autoscaling_group_name"]
        found = call.client("autoscaling").describe_policies(AutoScalingGroupName=group, PolicyNames=[name])["ScalingPolicies"]
        if not found:
            raise Gone
        one = found[0]
        arguments = {argument: one.get(key) for argument, key in self.ARGUMENTS.items()}
        return {"id": name, "name": name, "autoscaling_group_name": group, "arn": one["PolicyARN"], "policy_type": one["PolicyType"], **arguments}

    def delete(self, call: Call) -> None:
        group = call.prior["autoscaling_group_name"]
        if call.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]:
            call.client("autoscaling").delete_policy(AutoScalingGroupName=group, PolicyName=call.id)


class Alarm(Resource):
    title = "CloudWatch Metric Alarm"
    ARGUMENTS = {
        "actions_enabled": "ActionsEnabled", "alarm_actions": "AlarmActions", "alarm_description": "AlarmDescription",
        "comparison_operator": "ComparisonOperator", "datapoints_to_alarm": "DatapointsToAlarm", "evaluation_periods": "EvaluationPeriods",
        "insufficient_data_actions": "InsufficientDataActions", "metric_name": "MetricName", "namespace": "Namespace", "ok_actions": "OKActions",
        "period": "Period", "statistic": "Statistic", "threshold": "Threshold", "treat_missing_data": "TreatMissingData", "unit": "Unit",
    }  # fmt: skip

    def create(self, call: Call) -> None:
        call.only("alarm_name", "dimensions", *self.ARGUMENTS)
        planned = call.planned
        arguments = given(**{key: planned.get(name) for name, key in self.ARGUMENTS.items()})
        dimensions = [{"Name": name, "Value": value} for name, value in sorted((planned.get("dimensions") or {}).items())]
        tags = {} if call.op == "update" else given(Tags=call.tags())
        call.client("cloudwatch").put_metric_alarm(AlarmName=planned["alarm_name"], Dimensions=dimensions, **arguments, **tags)
        call.made["id"] = planned["alarm_name"]
        more, less = call.tag_changes() if call.op == "update" else ({}, [])
        arn = call.prior.get("arn")
        if less:
            call.client("cloudwatch").untag_resource(ResourceARN=arn, TagKeys=less)
        if more:
            call.client("cloudwatch").tag_resource(ResourceARN=arn, Tags=[{"Key": k, "Value": v} for k, v in more.items()])

    update = create

    def read(self, call: Call) -> Attributes:
        found = call.client("cloudwatch").describe_alarms(AlarmNames=[call.id])["MetricAlarms"]
        if not found:
            raise Gone
        one, before = found[0], call.prior
        out: Attributes = {"id": call.id, "alarm_name": call.id, "arn": one["AlarmArn"]}
        for name, key in self.ARGUMENTS.items():
            value = one.get(key)
            # An unset argument comes back as nothing, or as an empty list.
            out[name] = before.get(name) if value in (None, [], "") and not before.get(name) else value
        dimensions = {pair["Name"]: pair["Value"] for pair in one.get("Dimensions", [])}
        tags = call.client("cloudwatch").list_tags_for_resource(ResourceARN=one["AlarmArn"])["Tags"]
        return {**out, "dimensions": dimensions or before.get("dimensions"), **call.read_tags({tag["Key"]: tag["Value"] for tag in tags})}

    def delete(self, call: Call) -> None:
        call.client("cloudwatch").delete_alarms(AlarmNames=[call.id])


RESOURCES = {"aws_autoscaling_group": Group(), "aws_autoscaling_policy": Policy(), "aws_cloudwatch_metric_alarm": Alarm()}
