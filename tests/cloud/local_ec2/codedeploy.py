# Owns: CodeDeploy's deployments: which instances they reach, when they are over, what every instance has; and the hook by which a
# group's new instances get the last successful revision before they serve.
# Must not: run an agent or touch an instance: a deployment is a record here, and what the instance serves is its image's.
# Invariant: an instance has a revision only by a target of its own that succeeded.
"""CodeDeploy, as far as somebody reads what it did."""

from __future__ import annotations

import fnmatch
import time
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from moto.autoscaling.models import FakeAutoScalingGroup, InstanceState, autoscaling_backends
from moto.codedeploy import responses
from moto.codedeploy.exceptions import ApplicationDoesNotExistException, CodeDeployException, DeploymentGroupDoesNotExistException
from moto.codedeploy.models import CodeDeployBackend, DeploymentGroup, DeploymentInfo, codedeploy_backends
from moto.codedeploy.responses import CodeDeployResponse
from moto.core.responses import ActionResult

from . import ACCOUNT
from .knobs import Knobs
from .scaler import Scaler

_create = CodeDeployBackend.create_deployment
_group_info = responses._deployment_group_info
_info = responses._deployment_info

OVER = ("Succeeded", "Failed", "Stopped")


def _now() -> datetime:
    return datetime.now(timezone.utc)


class CodeDeploy:
    """The deployments of one server, in all regions."""

    def __init__(self, knobs: Knobs, scaler: Scaler) -> None:
        self.knobs = knobs
        self.scaler = scaler
        scaler.launched.append(self.launched)
        scaler.ticks.append(self.advance)

    # --- making ------------------------------------------------------------------------------------------------------

    def create(self, backend: CodeDeployBackend, application: str, group: str, *args: Any, **more: Any) -> str:
        deployment_id = _create(backend, application, group, *args, **more)
        deployment = backend.deployments[deployment_id]
        members = [
            one.instance.id
            for name in _scaling_groups(deployment.deployment_group)
            if name in autoscaling_backends[ACCOUNT][backend.region_name].autoscaling_groups
            for one in autoscaling_backends[ACCOUNT][backend.region_name].autoscaling_groups[name].instance_states
            if one.lifecycle_state == "InService"
        ]
        return self._begin(backend, deployment, members)

    def _begin(self, backend: CodeDeployBackend, deployment: DeploymentInfo, instances: list[str]) -> str:
        backend.deployments.pop(deployment.deployment_id)
        deployment.deployment_id = "d-" + uuid.uuid4().hex[:9].upper()
        backend.deployments[deployment.deployment_id] = deployment
        deployment.create_time, deployment.begun = _now(), time.monotonic()
        deployment.targets = {one: {"status": "Pending", "lastUpdatedAt": _now()} for one in instances}
        deployment.deployment_group.last_attempted = deployment
        if not instances:
            self._end(deployment, "Failed", "NO_INSTANCES", "The deployment failed because no instances were found for your deployment group.")
        return deployment.deployment_id

    def launched(self, group: FakeAutoScalingGroup, member: InstanceState) -> None:
        """A new instance waits for the last successful revision of every deployment group that it is in."""
        backend = codedeploy_backends[ACCOUNT][group.region]
        for one in _all_groups(backend):
            last = getattr(one, "last_successful", None)
            if group.name in _scaling_groups(one) and last is not None:
                deployment_id = _create(backend, one.application.application_name, one.deployment_group_name, last.revision)
                deployment = backend.deployments[deployment_id]
                deployment.creator = "autoscaling"
                self._begin(backend, deployment, [member.instance.id])
                member.lifecycle_state = "Pending:Wait"
                deployment.waiting = (group, member)

    # --- going on ----------------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Called with a turn in moto, at every tick and before every look."""
        for backend in [*codedeploy_backends[ACCOUNT].values()]:
            for deployment in [*backend.deployments.values()]:
                if deployment.status in OVER:
                    continue
                if deployment.status == "Created":
                    deployment.status, deployment.start_time = "InProgress", _now()
                    self._move(deployment, "InProgress")
                elif time.monotonic() - deployment.begun >= self.knobs.deploy_seconds:
                    self._finish(deployment)

    def _finish(self, deployment: DeploymentInfo) -> None:
        rule = self.knobs.failed("fail_deployment", deployment.deployment_group_name)
        failed = [one for one in deployment.targets if rule and fnmatch.fnmatchcase(one, rule.instance)]
        self._move(deployment, "Succeeded", failed)
        # All at once is satisfied with one; the others stop at the first that fails (but for the last of them, which nobody tests).
        enough = len(failed) < len(deployment.targets) and str(deployment.deployment_config_name).endswith("AllAtOnce")
        if failed and not enough:
            text = (rule.message if rule else "") or "The overall deployment failed because too many individual instances failed deployment."
            self._end(deployment, "Failed", "HEALTH_CONSTRAINTS", text)
        else:
            deployment.deployment_group.last_successful = deployment
            self._end(deployment, "Succeeded")

    @staticmethod
    def _move(deployment: DeploymentInfo, status: str, failed: list[str] | None = None) -> None:
        for name, target in deployment.targets.items():
            target["status"] = "Failed" if name in (failed or []) else status
            target["lastUpdatedAt"] = _now()
        states = [target["status"] for target in deployment.targets.values()]
        deployment.deployment_overview = {name: states.count(name) for name in ("Pending", "InProgress", "Succeeded", "Failed", "Skipped", "Ready")}

    def _end(self, deployment: DeploymentInfo, status: str, code: str = "", message: str = "") -> None:
        deployment.status, deployment.complete_time = status, _now()
        deployment.error = {"code": code, "message": message} if code else None
        if waiting := getattr(deployment, "waiting", None):
            group, member = waiting
            if member.lifecycle_state != "Pending:Wait":
                return
            if status == "Succeeded":
                self.scaler.released(member)
            else:
                self.scaler.abandon(group, member, f"the CodeDeploy deployment {deployment.deployment_id} of its launch hook ended as {status}")

    def stop(self, deployment: DeploymentInfo) -> None:
        if deployment.status not in OVER:
            for target in deployment.targets.values():
                target.update(status="Skipped", lastUpdatedAt=_now())
            self._end(deployment, "Stopped", "MANUAL_STOP", "The deployment was stopped by a user.")


def _all_groups(backend: CodeDeployBackend) -> Iterator[DeploymentGroup]:
    for groups in backend.deployment_groups.values():
        yield from groups.values()


def _scaling_groups(group: DeploymentGroup) -> list[str]:
    return [one["name"] if isinstance(one, dict) else one for one in group.auto_scaling_groups]


def _last(deployment: DeploymentInfo | None) -> dict[str, Any]:
    if deployment is None:
        return {}
    found = {"deploymentId": deployment.deployment_id, "status": deployment.status, "createTime": deployment.create_time}
    return {**found, "endTime": deployment.complete_time} if deployment.complete_time else found


def _described_group(group: DeploymentGroup) -> dict[str, Any]:
    found = _group_info(group)
    successful = getattr(group, "last_successful", None)
    found["autoScalingGroups"] = [{"name": one, "hook": f"CodeDeploy-managed-automatic-launch-deployment-hook-{group.deployment_group_name}"} for one in _scaling_groups(group)]
    found.pop("lastSuccessfulDeployment", None)
    found.pop("lastAttemptedDeployment", None)
    found.pop("targetRevision", None)
    if successful is not None:
        found.update(lastSuccessfulDeployment=_last(successful), targetRevision=successful.revision)
    if attempted := getattr(group, "last_attempted", None):
        found["lastAttemptedDeployment"] = _last(attempted)
    return found


def _described(deployment: DeploymentInfo) -> dict[str, Any]:
    found = _info(deployment)
    found.pop("errorInformation", None)
    found.pop("previousRevision", None)
    if error := getattr(deployment, "error", None):
        found["errorInformation"] = error
    return found


def _target(backend: CodeDeployBackend, deployment: DeploymentInfo, name: str) -> dict[str, Any]:
    if name not in deployment.targets:
        raise CodeDeployException("DeploymentTargetDoesNotExistException", f"The target {name} does not exist in deployment {deployment.deployment_id}")
    arn = f"arn:aws:ec2:{backend.region_name}:{ACCOUNT}:instance/{name}"
    instance = {"deploymentId": deployment.deployment_id, "targetId": name, "targetArn": arn, "lifecycleEvents": [], **deployment.targets[name]}
    return {"deploymentTargetType": "InstanceTarget", "instanceTarget": instance}


def patch(codedeploy: CodeDeploy) -> None:
    """Put the above in the place of moto's own."""
    CodeDeployBackend.create_deployment = lambda backend, application_name, deployment_group_name, revision, **more: codedeploy.create(
        backend, application_name, deployment_group_name, revision, **more
    )
    responses._deployment_group_info = _described_group
    responses._deployment_info = _described

    def looked(self: Any) -> tuple[CodeDeployBackend, DeploymentInfo]:
        return self.codedeploy_backend, self.codedeploy_backend.get_deployment(self._get_param("deploymentId"))

    def list_deployments(self: Any) -> ActionResult:
        backend: CodeDeployBackend = self.codedeploy_backend
        application, group = self._get_param("applicationName"), self._get_param("deploymentGroupName")
        if application and application not in backend.applications:
            raise ApplicationDoesNotExistException(f"No application found for name: {application}")
        if group and group not in backend.deployment_groups.get(application, {}):
            raise DeploymentGroupDoesNotExistException(f"No Deployment Group found for name: {group}")
        wanted, times = self._get_param("includeOnlyStatuses") or [], self._get_param("createTimeRange") or {}
        start, end = (_seconds(times.get(name)) for name in ("start", "end"))
        found = [
            one
            for one in sorted(backend.deployments.values(), key=lambda one: one.create_time, reverse=True)
            if (not application or one.application_name == application)
            and (not group or one.deployment_group_name == group)
            and (not wanted or one.status in wanted)
            and (start is None or one.create_time.timestamp() >= start)
            and (end is None or one.create_time.timestamp() <= end)
        ]
        return ActionResult({"deployments": [one.deployment_id for one in found]})

    def list_deployment_targets(self: Any) -> ActionResult:
        _, deployment = looked(self)
        if deployment.status == "Created":
            raise CodeDeployException("DeploymentNotStartedException", f"Deployment {deployment.deployment_id} has not started yet")
        wanted = (self._get_param("targetFilters") or {}).get("TargetStatus")
        return ActionResult({"targetIds": [name for name, one in deployment.targets.items() if not wanted or one["status"] in wanted]})

    def batch_get_deployment_targets(self: Any) -> ActionResult:
        backend, deployment = looked(self)
        return ActionResult({"deploymentTargets": [_target(backend, deployment, name.rsplit("/", 1)[-1]) for name in self._get_param("targetIds") or []]})

    def get_deployment_target(self: Any) -> ActionResult:
        backend, deployment = looked(self)
        return ActionResult({"deploymentTarget": _target(backend, deployment, self._get_param("targetId").rsplit("/", 1)[-1])})

    def stop_deployment(self: Any) -> ActionResult:
        _, deployment = looked(self)
        codedeploy.stop(deployment)
        return ActionResult({"status": "Succeeded", "statusMessage": "Deployment stopped"})

    for function in (list_deployments, list_deployment_targets, batch_get_deployment_targets, get_deployment_target, stop_deployment):
        setattr(CodeDeployResponse, function.__name__, function)
    # A look is at what is so now, also while no group keeps the clock going.
    call_action = CodeDeployResponse.call_action

    def advanced(self: Any) -> Any:
        codedeploy.advance()
        return call_action(self)

    CodeDeployResponse.call_action = advanced


def _seconds(moment: Any) -> float | None:
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    return None if moment is None else float(moment)
