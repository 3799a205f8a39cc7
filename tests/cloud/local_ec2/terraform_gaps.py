# Owns: calls that Terraform makes and moto lacks: CodeDeploy's updates and deletions. Must not: deploy.
# Invariant: a call that moto, or codedeploy.py, has is left as it is.
"""What moto lacks for a `terraform destroy`."""

from __future__ import annotations

from typing import Any

from moto.codedeploy.models import CodeDeployBackend
from moto.codedeploy.responses import CodeDeployResponse
from moto.core.responses import ActionResult, EmptyResult

# Argument of UpdateDeploymentGroup → what moto calls it.
CHANGEABLE = {
    "deploymentConfigName": "deployment_config_name", "autoScalingGroups": "auto_scaling_groups", "serviceRoleArn": "service_role_arn",
    "autoRollbackConfiguration": "auto_rollback_configuration", "outdatedInstancesStrategy": "outdated_instances_strategy",
    "deploymentStyle": "deployment_style",
}  # fmt: skip


def update_application(self: Any) -> EmptyResult:
    backend: CodeDeployBackend = self.codedeploy_backend
    old, new = self._get_param("applicationName"), self._get_param("newApplicationName")
    application = backend.get_application(old)
    if new and new != old:
        application.application_name = new
        backend.applications[new] = backend.applications.pop(old)
        backend.deployment_groups[new] = backend.deployment_groups.pop(old, {})
    return EmptyResult()


def delete_application(self: Any) -> EmptyResult:
    backend: CodeDeployBackend = self.codedeploy_backend
    name = self._get_param("applicationName")
    backend.applications.pop(name, None)
    for group in backend.deployment_groups.pop(name, {}):
        backend.tagger.delete_all_tags_for_resource(backend._deployment_group_arn(name, group))
    backend.tagger.delete_all_tags_for_resource(backend._application_arn(name))
    return EmptyResult()


def update_deployment_group(self: Any) -> ActionResult:
    backend: CodeDeployBackend = self.codedeploy_backend
    application, old, new = (self._get_param(name) for name in ("applicationName", "currentDeploymentGroupName", "newDeploymentGroupName"))
    group = backend.get_deployment_group(application, old)
    for argument, attribute in CHANGEABLE.items():
        if (value := self._get_param(argument)) is not None:
            setattr(group, attribute, value)
    if new and new != old:
        group.deployment_group_name = new
        groups = backend.deployment_groups[application]
        groups[new] = groups.pop(old)
    return ActionResult({"hooksNotCleanedUp": []})


def delete_deployment_group(self: Any) -> ActionResult:
    backend: CodeDeployBackend = self.codedeploy_backend
    application, name = self._get_param("applicationName"), self._get_param("deploymentGroupName")
    backend.deployment_groups.get(application, {}).pop(name, None)
    backend.tagger.delete_all_tags_for_resource(backend._deployment_group_arn(application, name))
    return ActionResult({"hooksNotCleanedUp": []})


def patch() -> None:
    for function in (update_application, delete_application, update_deployment_group, delete_deployment_group):
        if not hasattr(CodeDeployResponse, function.__name__):
            setattr(CodeDeployResponse, function.__name__, function)
