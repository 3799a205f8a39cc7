# Owns: launch templates where moto differs from EC2: user data of later versions, whose tags are whose, a filter.
# Must not: start instances. Invariant: what a version was created with is what `DescribeLaunchTemplateVersions` and a launch see.
"""Launch templates."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.launch_templates import LaunchTemplate, LaunchTemplateVersion
from moto.ec2.utils import parse_user_data

_create_version = LaunchTemplate.create_version
_filter_value = LaunchTemplate.get_filter_value


def _version(template: LaunchTemplate, data: dict[str, Any], description: str) -> LaunchTemplateVersion:
    """moto takes user data of a later version as it comes, and then cannot launch it. The tags of the template itself are
    mixed into its first version's data; an instance must not get them."""
    if isinstance(data.get("UserData"), str):
        data["UserData"] = parse_user_data(data["UserData"])
    if "TagSpecifications" in data:
        data["TagSpecifications"] = [one for one in data["TagSpecifications"] if one.get("ResourceType") != "launch-template"]
    return _create_version(template, data, description)


def _filter(template: LaunchTemplate, filter_name: str, method_name: str | None = None) -> Any:
    if filter_name == "launch-template-id":
        return template.id
    return _filter_value(template, filter_name, method_name)


def patch() -> None:
    """Put the above in the place of moto's own."""
    LaunchTemplate.create_version = _version
    LaunchTemplate.get_filter_value = _filter
    # Written once when the template is made; tags that come later must show too.
    LaunchTemplate.tags = property(lambda template: template.get_tags(), lambda _template, _tags: None)
