# Owns: Auto Scaling's calls: each writes down what a group shall be, and returns.
# Must not: start, stop or register an instance; scaler.py follows what is written here, as AWS does after it has answered.
# Invariant: every change of a group's capacity leaves its reason in `group.wish`, which the activities that follow repeat.
"""Auto Scaling groups as their owner describes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup, InstanceState
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult

from .activities import Activities, now

_create = AutoScalingBackend.create_auto_scaling_group
_update = FakeAutoScalingGroup.update
_update_response = AutoScalingResponse.update_auto_scaling_group


def _wish(group: FakeAutoScalingGroup, new_capacity: int | None) -> None:
    """In place of starting and ending instances at once, inside the call."""
    before = getattr(group, "desired_capacity", 0) or 0
    group.desired_capacity = group.min_size if new_capacity is None else int(new_capacity)
    if not hasattr(group, "wish"):
        group.wish = f"At {now()} a user request created an AutoScalingGroup changing the desired capacity from 0 to {group.desired_capacity}."
    elif before != group.desired_capacity:
        group.wish = f"At {now()} a user request explicitly set group desired capacity changing the desired capacity from {before} to {group.desired_capacity}."


def _sizes(minimum: int, maximum: int, desired: int) -> None:
    if minimum > maximum:
        raise ValidationError("Max bound, {maximum}, must be greater than or equal to min bound, {minimum}".format(minimum=minimum, maximum=maximum))
    if not minimum <= desired <= maximum:
        raise ValidationError(f"Desired capacity:{desired} must be between the specified min size:{minimum} and max size:{maximum}")


def _updated(group: FakeAutoScalingGroup, **spec: Any) -> None:
    """Sizes as EC2 takes them: without a desired capacity the old one is only moved into the new bounds."""
    before = group.desired_capacity or 0
    minimum = group.min_size if spec.get("min_size") is None else spec["min_size"]
    maximum = group.max_size if spec.get("max_size") is None else spec["max_size"]
    if spec.get("desired_capacity") is None:
        if minimum > maximum:
            _sizes(minimum, maximum, minimum)
        spec["desired_capacity"] = min(max(before, minimum), maximum)
    _sizes(minimum, maximum, spec["desired_capacity"])
    _update(group, **spec)
    if group.desired_capacity != before:
        group.wish = (
            f"At {now()} a user request update of AutoScalingGroup constraints to min: {minimum}, max: {maximum}, "
            f"desired: {group.desired_capacity} changing the desired capacity from {before} to {group.desired_capacity}."
        )


class Groups:
    """What the calls need beside moto's own records."""

    def __init__(self, activities: Activities, phase: Callable[[str, str, str], str]) -> None:
        self.activities = activities
        self.phase = phase  # of an instance, by region, load balancer's name or target group's ARN, and id

    def create(self, backend: AutoScalingBackend, **spec: Any) -> FakeAutoScalingGroup:
        if spec["name"] in backend.autoscaling_groups:
            raise AutoscalingClientError(
                "AlreadyExists", f"AutoScalingGroup by this name already exists - A group with the name {spec['name']} already exists"
            )
        minimum, maximum = int(spec["min_size"] or 0), int(spec["max_size"] or 0)
        _sizes(minimum, maximum, minimum if spec["desired_capacity"] is None else int(spec["desired_capacity"]))
        self._exist(backend, spec["load_balancers"], spec["target_group_arns"])
        group = _create(backend, **spec)
        group.health_check_grace_period = int(spec["health_check_period"] or 0)
        return group

    @staticmethod
    def _exist(backend: AutoScalingBackend, names: list[str], arns: list[str]) -> None:
        if missing := [name for name in names if name not in backend.elb_backend.load_balancers]:
            raise ValidationError(f"Provided Load Balancers may not be valid. Please ensure they exist and try again. ({', '.join(missing)})")
        if missing := [arn for arn in arns if arn not in backend.elbv2_backend.target_groups]:
            raise ValidationError(f"Provided Target Groups may not be valid. Please ensure they exist and try again. ({', '.join(missing)})")

    @staticmethod
    def named(backend: AutoScalingBackend, name: str) -> FakeAutoScalingGroup:
        if name not in backend.autoscaling_groups:
            raise ValidationError(f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
        return backend.autoscaling_groups[name]

    def attach(self, backend: AutoScalingBackend, group_name: str, names: list[str], attribute: str) -> None:
        group = self.named(backend, group_name)
        self._exist(backend, *((names, []) if attribute == "load_balancer_names" else ([], names)))
        there = getattr(group, attribute)
        setattr(group, attribute, there + [one for one in names if one not in there])

    def detach(self, backend: AutoScalingBackend, group_name: str, names: list[str], attribute: str) -> None:
        group = self.named(backend, group_name)
        there = getattr(group, attribute)
        if missing := [one for one in names if one not in there]:
            raise ValidationError(f"Trying to remove Load Balancers or Target Groups that are not part of the group: [{', '.join(missing)}]")
        setattr(group, attribute, [one for one in there if one not in names])

    def standing(self, backend: AutoScalingBackend, name: str, attached: list[str], all_there_are: list[str]) -> list[tuple[str, str]]:
        """Load balancers or target groups with the state in which this group is with them, those it is leaving too."""
        group, found = self.named(backend, name), []
        for one in all_there_are:
            phases = [self.phase(backend.region_name, one, member.instance.id) for member in group.instance_states]
            if one in attached:
                found.append((one, "InService" if "up" in phases else "Adding" if "absent" in phases else "Added"))
            elif "draining" in phases:
                found.append((one, "Removing"))
        return found

    def set_desired(self, backend: AutoScalingBackend, group_name: str, desired: int) -> None:
        group = self.named(backend, group_name)
        for bound, word in ((group.max_size, "above max"), (group.min_size, "below min")):
            if (desired > bound) if word == "above max" else (desired < bound):
                raise ValidationError(f"New SetDesiredCapacity value {desired} is {word} value {bound} for the AutoScalingGroup.")
        group.set_desired_capacity(desired)

    def change(self, backend: AutoScalingBackend, group_name: str, adjustment: int) -> None:
        """A policy moves the capacity within the bounds."""
        group = self.named(backend, group_name)
        group.set_desired_capacity(min(max((group.desired_capacity or 0) + int(adjustment), group.min_size), group.max_size))

    def delete(self, backend: AutoScalingBackend, name: str, force: bool) -> None:
        group = self.named(backend, name)
        if group.instance_states and not force:
            raise AutoscalingClientError(
                "ResourceInUse", "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group."
            )
        group.min_size = 0
        group.set_desired_capacity(0)
        if group.instance_states:
            group.status = "Delete in progress"
        else:
            backend.autoscaling_groups.pop(name)

    def terminate(self, backend: AutoScalingBackend, instance_id: str, should_decrement: bool) -> dict[str, Any]:
        """`TerminateInstanceInAutoScalingGroup`: the scaler sees the mark."""
        for group in backend.autoscaling_groups.values():
            for member in group.instance_states:
                if member.instance.id == instance_id:
                    if should_decrement:
                        _sizes(group.min_size, group.max_size, group.desired_capacity - 1)
                        group.set_desired_capacity(group.desired_capacity - 1)
                    member.doomed = f"At {now()} instance {instance_id} was taken out of service in response to a user request."
                    return {"AutoScalingGroupName": group.name, "StatusCode": "InProgress", "Description": f"Terminating EC2 instance: {instance_id}"}
        raise ValidationError(f"Instance Id not found - No managed instance found for instance ID: {instance_id}")


def patch(groups: Groups) -> None:
    """Put the above in the place of moto's own."""
    FakeAutoScalingGroup.set_desired_capacity = _wish
    FakeAutoScalingGroup.update = _updated
    # Recorded at the launch: the group may have moved on, and so may the template's default version.
    InstanceState.launch_template = property(lambda member: member.template)
    # What the scaler knows of its own launches, for those that `AttachInstances` brought.
    InstanceState.template, InstanceState.activity = None, None
    InstanceState.since, InstanceState.booted, InstanceState.ending = 0.0, True, False

    as_backend = {
        "create_auto_scaling_group": lambda backend, **spec: groups.create(backend, **spec),
        "update_attached_elbs": lambda _backend, _name: None,
        "update_attached_target_groups": lambda _backend, _name: None,
        "notify_terminate_instances": lambda _backend, _ids: None,
        "set_desired_capacity": lambda backend, name, desired: groups.set_desired(backend, name, desired),
        "change_capacity": lambda backend, name, adjustment: groups.change(backend, name, adjustment),
        "attach_load_balancers": lambda backend, name, names: groups.attach(backend, name, names, "load_balancer_names"),
        "detach_load_balancers": lambda backend, name, names: groups.detach(backend, name, names, "load_balancer_names"),
        "attach_load_balancer_target_groups": lambda backend, name, arns: groups.attach(backend, name, arns, "target_group_arns"),
        "detach_load_balancer_target_groups": lambda backend, name, arns: groups.detach(backend, name, arns, "target_group_arns"),
    }
    for name, function in as_backend.items():
        setattr(AutoScalingBackend, name, function)

    def describe_scaling_activities(self: Any) -> ActionResult:
        name, ids = self._get_param("AutoScalingGroupName"), self._get_param("ActivityIds", [])
        backend = self.autoscaling_backend
        deleted = bool(self._get_bool_param("IncludeDeletedGroups", False))
        if name and not deleted:
            groups.named(backend, name)
        existing = {group.arn for group in backend.autoscaling_groups.values()}
        found = groups.activities.describe(backend.region_name, [name] if name else [], ids, deleted, existing)
        start, size = int(self._get_param("NextToken") or 0), self._get_int_param("MaxRecords", 100)
        more = {"NextToken": str(start + size)} if len(found) > start + size else {}
        return ActionResult({"Activities": found[start : start + size], **more})

    def describe_load_balancers(self: Any) -> ActionResult:
        backend, name = self.autoscaling_backend, self._get_param("AutoScalingGroupName")
        found = groups.standing(backend, name, groups.named(backend, name).load_balancer_names, [*backend.elb_backend.load_balancers])
        return ActionResult({"LoadBalancers": [{"LoadBalancerName": one, "State": state} for one, state in found]})

    def describe_load_balancer_target_groups(self: Any) -> ActionResult:
        backend, name = self.autoscaling_backend, self._get_param("AutoScalingGroupName")
        found = groups.standing(backend, name, groups.named(backend, name).target_group_arns, [*backend.elbv2_backend.target_groups])
        return ActionResult({"LoadBalancerTargetGroups": [{"LoadBalancerTargetGroupARN": one, "State": state} for one, state in found]})

    def delete_auto_scaling_group(self: Any) -> EmptyResult:
        groups.delete(self.autoscaling_backend, self._get_param("AutoScalingGroupName"), bool(self._get_bool_param("ForceDelete", False)))
        return EmptyResult()

    def terminate_instance_in_auto_scaling_group(self: Any) -> ActionResult:
        decrement = bool(self._get_bool_param("ShouldDecrementDesiredCapacity", False))
        return ActionResult({"Activity": groups.terminate(self.autoscaling_backend, self._get_param("InstanceId"), decrement)})

    def update_auto_scaling_group(self: Any) -> Any:
        answer = _update_response(self)
        group = self.autoscaling_backend.autoscaling_groups[self._get_param("AutoScalingGroupName")]
        for parameter, attribute in (("DefaultCooldown", "default_cooldown"), ("TerminationPolicies", "termination_policies")):
            if (value := self._get_param(parameter)) is not None:
                setattr(group, attribute, int(value) if attribute == "default_cooldown" else value)
        return answer

    for function in (
        describe_scaling_activities, describe_load_balancers, describe_load_balancer_target_groups,
        delete_auto_scaling_group, terminate_instance_in_auto_scaling_group, update_auto_scaling_group,
    ):  # fmt: skip
        setattr(AutoScalingResponse, function.__name__, function)
