# Owns: what Auto Scaling does by itself: launching, ending, replacing, registering and deregistering the instances of groups.
# Must not: decide a group's size (groups.py writes it down) or drain (balancers.py does; here one only waits until it has).
# Invariant: an instance is ended only when no load balancer holds it any more; every launch and every end is an activity.
"""The loop that makes groups as they are described."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from moto.autoscaling.models import ASG_NAME_TAG, FakeAutoScalingGroup, InstanceState, autoscaling_backends
from moto.core.exceptions import ServiceException

from . import ACCOUNT
from .activities import Activities, now
from .balancers import Balancers
from .knobs import Knobs
from .turns import in_moto

TICK = 0.1
AT_ONCE = 3
"""Launches and ends under way at a time: Docker gains nothing from more on a small machine."""

ALIVE = ("Pending", "Pending:Wait", "InService")
GONE = ("shutting-down", "terminated", "stopping", "stopped")


class Scaler:
    """The groups of one server, in all regions."""

    def __init__(self, balancers: Balancers, knobs: Knobs, activities: Activities) -> None:
        self.balancers = balancers
        self.knobs = knobs
        self.activities = activities
        self.launched: list[Callable[[FakeAutoScalingGroup, InstanceState], None]] = []
        self.ticks: list[Callable[[], None]] = []
        self.phase: Callable[[str, str, str], str] = lambda _region, _where, _instance: "absent"  # set by the server
        self._placed: dict[tuple[str, str], set[tuple[str, str, str]]] = {}
        self._slots = threading.Semaphore(AT_ONCE)
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._over = False
        self._jobs: set[threading.Thread] = set()

    def wake(self) -> None:
        if self._over:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="scaler", daemon=True)
            self._thread.start()
        self._wake.set()

    def close(self) -> None:
        """No new launch; those under way are waited for, so that no container appears after the last look for them."""
        self._over = True
        self._wake.set()
        for one in [*self._jobs]:
            one.join(30)

    def _loop(self) -> None:
        while not self._over:
            self._wake.wait(TICK)
            self._wake.clear()
            try:
                with in_moto():
                    if not self._over and not self._tick():
                        self._thread = None
                        return
            except Exception:
                traceback.print_exc()
                time.sleep(TICK)

    def _tick(self) -> bool:
        """One look at every group; false when there is none to look at."""
        some = False
        for one in self.ticks:
            one()
        for region, backend in [*autoscaling_backends[ACCOUNT].items()]:
            for group in [*backend.autoscaling_groups.values()]:
                some = True
                try:
                    self._look(region, backend, group)
                except Exception:
                    # The other groups go on.
                    traceback.print_exc()
        for region, name in [*self._placed]:
            if name not in autoscaling_backends[ACCOUNT][region].autoscaling_groups:
                del self._placed[region, name]
        return some

    # --- one group ---------------------------------------------------------------------------------------------------

    def _suspended(self, group: FakeAutoScalingGroup, process: str) -> bool:
        return process in group._suspended_processes

    def _look(self, region: str, backend: Any, group: FakeAutoScalingGroup) -> None:
        self._health(group)
        alive = [one for one in group.instance_states if one.lifecycle_state in ALIVE]
        missing = (group.desired_capacity or 0) - len(alive) - getattr(group, "coming", 0)
        if missing > 0 and not self._suspended(group, "Launch") and time.monotonic() >= getattr(group, "retry_at", 0.0):
            for n in range(missing):
                self._begin_launch(group, len(alive) + getattr(group, "coming", 0))
        elif missing < 0 and not self._suspended(group, "Terminate"):
            for one in self._least_wanted(group, alive)[: -missing]:
                cause = f"{group.wish}  At {now()} an instance was taken out of service in response to a difference between desired and actual capacity, shrinking the capacity from {len(alive)} to {len(alive) - 1}.  At {now()} instance {one.instance.id} was selected for termination."
                self._begin_end(group, one, cause)
                alive.remove(one)
        self._place(region, backend, group)
        for one in group.instance_states:
            if one.lifecycle_state == "Terminating" and one.booted and not one.ending and not self.balancers.holds(one.instance.id):
                one.ending = True
                self._job(self._end, backend, group, one)
        if getattr(group, "status", None) and not group.instance_states and not getattr(group, "coming", 0):
            backend.autoscaling_groups.pop(group.name, None)

    def _health(self, group: FakeAutoScalingGroup) -> None:
        grace = (group.health_check_grace_period or 0) / self.knobs.clock
        for one in [*group.instance_states]:
            if one.lifecycle_state not in ("InService", "Pending:Wait", "Standby"):
                continue
            cause = getattr(one, "doomed", "")
            if not cause and not self._suspended(group, "HealthCheck"):
                if one.instance.state in GONE:
                    one.health_status = "Unhealthy"
                    one.reason = "an EC2 health check indicating it has been terminated or stopped"
                elif group.health_check_type == "ELB" and time.monotonic() - one.since > grace and self._sick(group, one.instance.id):
                    one.health_status = "Unhealthy"
                    one.reason = "an ELB system health check failure"
                if one.health_status == "Unhealthy" and not self._suspended(group, "ReplaceUnhealthy"):
                    reason = getattr(one, "reason", "a user health-check")
                    cause = f"At {now()} an instance was taken out of service in response to {reason}."
            if cause:
                self._begin_end(group, one, cause)

    def _sick(self, group: FakeAutoScalingGroup, instance: str) -> bool:
        return any(self.phase(group.region, where, instance) == "down" for where in [*group.load_balancer_names, *group.target_group_arns])

    @staticmethod
    def _least_wanted(group: FakeAutoScalingGroup, alive: list[InstanceState]) -> list[InstanceState]:
        """The default policy: the oldest launch template version first, then the oldest instance."""
        free = [one for one in alive if not one.protected_from_scale_in]
        if "NewestInstance" in group.termination_policies:
            return sorted(free, key=lambda one: -one.since)
        return sorted(free, key=lambda one: (int((one.template or {}).get("Version") or 0), one.since))

    # --- load balancers ----------------------------------------------------------------------------------------------

    def _place(self, region: str, backend: Any, group: FakeAutoScalingGroup) -> None:
        """Register what is in service with what is attached, deregister what this group registered and no longer is."""
        placed = self._placed.setdefault((region, group.name), set())
        serving = [one.instance.id for one in group.instance_states if one.lifecycle_state == "InService" and one.instance.state == "running"]
        wanted = {("elb", name, one) for name in group.load_balancer_names for one in serving}
        wanted |= {("tg", arn, one) for arn in group.target_group_arns for one in serving}
        for kind, where, instance in sorted(placed - wanted):
            if kind == "elb" and where in backend.elb_backend.load_balancers:
                backend.elb_backend.deregister_instances(where, [instance])
            elif kind == "tg" and where in backend.elbv2_backend.target_groups:
                target_group = backend.elbv2_backend.target_groups[where]
                if instance in target_group.targets:
                    target_group.deregister([{"Id": instance}])
            placed.discard((kind, where, instance))
        if not self._suspended(group, "AddToLoadBalancer"):
            for kind, where, instance in sorted(wanted - placed):
                if kind == "elb" and where in backend.elb_backend.load_balancers:
                    backend.elb_backend.register_instances(where, [instance])
                elif kind == "tg" and where in backend.elbv2_backend.target_groups:
                    backend.elbv2_backend.target_groups[where].register([{"Id": instance}])
                else:
                    continue
                placed.add((kind, where, instance))
        self.balancers.wake()

    # --- launching ---------------------------------------------------------------------------------------------------

    def _job(self, work: Callable[..., None], *args: Any) -> None:
        def guarded() -> None:
            with self._slots:
                try:
                    work(*args)
                except Exception:
                    traceback.print_exc()
            self._jobs.discard(threading.current_thread())
            self.wake()

        job = threading.Thread(target=guarded, name="scaler-job", daemon=True)
        self._jobs.add(job)
        job.start()

    def _begin_launch(self, group: FakeAutoScalingGroup, count: int) -> None:
        group.coming = getattr(group, "coming", 0) + 1
        cause = f"{group.wish}  At {now()} an instance was started in response to a difference between desired and actual capacity, increasing the capacity from {count} to {count + 1}."
        zone = group.availability_zones[count % len(group.availability_zones)]
        activity = self.activities.begin(group, "Launching a new EC2 instance", cause, f'{{"Availability Zone":"{zone}"}}')
        self._job(self._launch, group, activity, count)

    def _launch(self, group: FakeAutoScalingGroup, activity: dict[str, Any], number: int) -> None:
        members: list[InstanceState] = []

        def made(instance: Any) -> None:
            """moto has the instance, Docker not yet: the group shows it as pending."""
            instance.autoscaling_group = group
            member = InstanceState(instance, "Pending", protected_from_scale_in=group.new_instances_protected_from_scale_in)
            member.template, member.since, member.booted, member.ending, member.activity = template, time.monotonic(), False, False, None
            members.append(member)
            group.instance_states.append(member)
            group.coming -= 1
            self.activities.move(activity, "PreInService", description=f"Launching a new EC2 instance: {instance.id}")

        try:
            with in_moto():
                if rule := self.knobs.failed("fail_launch", group.name):
                    raise ServiceException(rule.code or "InsufficientInstanceCapacity", rule.message or "We currently do not have sufficient capacity in the Availability Zone you requested")
                template = _template(group)
                if self._over or getattr(group, "status", None):
                    raise ServiceException("Cancelled", "The group is being deleted")
                _run(group, template, number, made)
                member = members[0]
                member.booted, group.failures = True, 0
                if member.lifecycle_state == "Pending":
                    member.lifecycle_state, member.since = "InService", time.monotonic()
                    for one in self.launched:
                        one(group, member)
                if member.lifecycle_state == "InService":
                    self.activities.move(activity, "Successful")
                else:
                    member.launching = activity
        except Exception as error:
            if not isinstance(error, ServiceException):
                traceback.print_exc(limit=-2)
            with in_moto():
                self._failed(group, members, activity, getattr(error, "message", None) or f"{type(error).__name__}: {error}")

    def _failed(self, group: FakeAutoScalingGroup, members: list[InstanceState], activity: dict[str, Any], message: str) -> None:
        for one in members:
            if one in group.instance_states:
                group.instance_states.remove(one)
        if not members:
            group.coming -= 1
        group.failures = getattr(group, "failures", 0) + 1
        # AWS tries again less and less often.
        group.retry_at = time.monotonic() + min(10 * 2 ** (group.failures - 1), 300) / self.knobs.clock
        text = f"{message}. Launching EC2 instance failed."
        self.activities.move(activity, "Failed", text, f"Launching a new EC2 instance.  Status Reason: {text}")

    def released(self, member: InstanceState) -> None:
        """A hook let the launch go on."""
        member.lifecycle_state, member.since = "InService", time.monotonic()
        self.activities.move(getattr(member, "launching", None), "Successful")

    def abandon(self, group: FakeAutoScalingGroup, member: InstanceState, message: str) -> None:
        """A hook gave the launch up: the instance goes, and another will be tried."""
        self.activities.move(getattr(member, "launching", None), "Failed", message)
        self._begin_end(group, member, f"At {now()} an instance was taken out of service in response to a launch failure: {message}")

    # --- ending ------------------------------------------------------------------------------------------------------

    def _begin_end(self, group: FakeAutoScalingGroup, member: InstanceState, cause: str) -> None:
        member.lifecycle_state, member.doomed = "Terminating", ""
        self.activities.move(getattr(member, "launching", None), "Cancelled")
        where = f'{{"Availability Zone":"{member.availability_zone}"}}'
        member.activity = self.activities.begin(group, f"Terminating EC2 instance: {member.instance.id}", cause, where)
        if self.balancers.holds(member.instance.id):
            self.activities.move(member.activity, "WaitingForELBConnectionDraining")

    def _end(self, backend: Any, group: FakeAutoScalingGroup, member: InstanceState) -> None:
        with in_moto():
            backend.ec2_backend.terminate_instances([member.instance.id])
            if member in group.instance_states:
                group.instance_states.remove(member)
            self.activities.move(member.activity, "Successful")


def _template(group: FakeAutoScalingGroup) -> dict[str, Any] | None:
    if group.ec2_launch_template is None:
        return None
    version = group.ec2_launch_template.get_version(group.launch_template_version)
    template = group.ec2_launch_template
    return {"LaunchTemplateId": template.id, "LaunchTemplateName": template.name, "Version": str(version.number)}


def _run(group: FakeAutoScalingGroup, template: dict[str, Any] | None, number: int, made: Callable[[Any], None]) -> None:
    """One instance, as the group's launch template or configuration describes it. Zones take turns."""
    subnets = group.vpc_zone_identifier.split(",") if group.vpc_zone_identifier else []
    zones = group.availability_zones
    tags = {**group.instance_tags, **group.get_propagated_tags(), ASG_NAME_TAG: group.name}
    config = group.launch_config
    group.ec2_backend.run_instances(
        group.image_id, 1, group.user_data, group.security_groups,
        instance_type=group.instance_type, tags={"instance": tags}, placement=zones[number % len(zones)],
        launch_config=config, launch_template={key: template[key] for key in ("LaunchTemplateId", "Version")} if template else None,
        is_instance_type_default=False, associate_public_ip=config.associate_public_ip_address if config else None,
        subnet_id=subnets[number % len(subnets)] if subnets else None, made=made,
    )  # fmt: skip
