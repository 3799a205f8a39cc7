# Owns: AMIs: moto's image calls with what EC2 does and moto does not: unique names, pending and failed states, pages, copies with tags, commits.
# Must not: start or stop instances; decide which call is hit by a knob (knobs.py does).
# Invariant: an AMI id is known to `docker_of` for as long as it is registered, and a commit lives until its last AMI is deregistered.
"""Images as commits of containers."""

from __future__ import annotations

import re
import threading
from datetime import datetime, timezone
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.amis import Ami, AmiBackend
from moto.ec2.responses.amis import AmisResponse

from . import ACCOUNT, DEFAULT_REGION
from .boxes import Boxes, DockerError
from .knobs import KnobError, Knobs

NAME = re.compile(r"[A-Za-z0-9()\[\] ./\-'@_]{3,128}")

_create = AmiBackend.create_image
_copy = AmiBackend.copy_image
_deregister = AmiBackend.deregister_image
_describe = AmiBackend.describe_images
_modify = AmisResponse.modify_image_attribute


def fault(code: str, message: str) -> EC2ClientError:
    return EC2ClientError(code, message)


class Images:
    """The images of one server, in all regions."""

    def __init__(self, boxes: Boxes, knobs: Knobs) -> None:
        self.boxes = boxes
        self.knobs = knobs
        self.docker_of: dict[str, str] = {}
        self._commits: set[str] = set()
        self._lock = threading.Lock()
        self._names: dict[tuple[str, str], str] = {}
        self._copies: dict[tuple[str, str], str] = {}

    # --- names -------------------------------------------------------------------------------------------------------

    def _claim_name(self, backend: Any, name: str) -> tuple[str, str]:
        """Reserve a name. CreateImage takes seconds here, and two calls at once must not both get it."""
        if not name:
            raise fault("MissingParameter", "The request must contain the parameter name")
        if not NAME.fullmatch(name):
            raise fault(
                "InvalidAMIName.Malformed",
                "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, "
                "'(', ')', '.', '-', '/' and '_'",
            )
        key = (backend.region_name, name)
        with self._lock:
            for ami in list(backend.amis.values()):
                if ami.name == name and ami.owner_id == ACCOUNT:
                    raise fault("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {ami.id}")
            if key in self._names:
                raise fault("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {self._names[key]}")
            self._names[key] = "that is being made"
        return key

    # --- making ------------------------------------------------------------------------------------------------------

    def _finish(self, ami: Ami, action: str) -> None:
        """What every image of ours has, and how it will get out of `pending`."""
        ami.root_device_type = "ebs"
        ami.hypervisor = "xen"
        ami.ena_support = True
        ami.image_location = f"{ACCOUNT}/{ami.name}"
        rule = self.knobs.failed_image(action, ami.name or "")
        ami.polls_left = self.knobs.pending_polls
        ami.end_state = "failed" if rule else "available"
        ami.end_reason = rule.message or "Client.InternalError: internal error during image creation" if rule else ""
        if ami.polls_left or rule:
            ami.state = "pending"
            ami.ebs_snapshot.status = "pending"

    def create(self, backend: Any, instance_id: str, name: str, description: str, tag_specifications: Any) -> Ami:
        instance = backend.get_instance(instance_id)
        if instance.state in ("shutting-down", "terminated"):
            raise fault("IncorrectState", f"Instance '{instance_id}' is {instance.state}")
        key = self._claim_name(backend, name)
        try:
            parent = backend.amis.get(instance.image_id)
            if getattr(instance, "boxed", False):
                commit = self.boxes.commit(instance_id)
                self._commits.add(commit)
            else:
                commit = self.docker_of.get(instance.image_id, "")
            others = [one for one in tag_specifications if one["ResourceType"] != "snapshot"]
            ami = _create(backend, instance_id, name, description, others)
            for one in tag_specifications:
                if one["ResourceType"] == "snapshot":
                    ami.ebs_snapshot.add_tags({tag["Key"]: tag["Value"] for tag in one["Tags"]})
            self.docker_of[ami.id] = commit
            ami.root_device_name = instance.root_device_name
            ami.source_image_id = instance.image_id
            ami.source_image_region = backend.region_name
            if parent is not None:
                ami.boot_mode = parent.boot_mode
            self._finish(ami, "CreateImage")
            return ami
        except DockerError as error:
            raise fault("InternalError", str(error)) from error
        finally:
            with self._lock:
                self._names.pop(key, None)

    def copy(self, response: Any) -> ActionResult:
        backend, get = response.ec2_backend, response._get_param
        source_id, source_region, name = get("SourceImageId"), get("SourceRegion"), get("Name")
        response.error_on_dryrun()
        from moto.ec2.models import ec2_backends

        token = get("ClientToken")
        with self._lock:
            known = self._copies.get((backend.region_name, token or ""))
        if known:
            return ActionResult({"ImageId": known})
        source = _describe(ec2_backends[backend.account_id][source_region], ami_ids=[source_id])
        if not source or source[0].state != "available":
            raise fault("InvalidAMIID.Unavailable", f"The image ID '{source_id}' is not available in {source_region}")
        key = self._claim_name(backend, name)
        try:
            ami = _copy(backend, source_id, source_region, name, get("Description"))
            self.docker_of[ami.id] = self.docker_of.get(source_id, "")
            ami.root_device_name = source[0].root_device_name
            ami.boot_mode = source[0].boot_mode
            ami.source_image_id = source_id
            ami.source_image_region = source_region
            if get("CopyImageTags"):
                ami.add_tags({tag["key"]: tag["value"] for tag in source[0].get_tags()})
            for one in get("TagSpecifications", []):
                target = ami.ebs_snapshot if one["ResourceType"] == "snapshot" else ami
                target.add_tags({tag["Key"]: tag["Value"] for tag in one["Tags"]})
            self._finish(ami, "CopyImage")
        finally:
            with self._lock:
                self._names.pop(key, None)
        if token:
            with self._lock:
                self._copies[backend.region_name, token] = ami.id
        return ActionResult({"ImageId": ami.id})

    def adopt(self, spec: Any) -> dict[str, Any]:
        """An AMI of a Docker image that is there already, such as a dry run's. The image is not ours: it stays when the AMI goes."""
        docker_image = spec.get("docker") if isinstance(spec, dict) else None
        if not isinstance(docker_image, str) or not self.boxes.exists(docker_image):
            raise KnobError(f"an image wants `docker`, the name of a Docker image that is there, got {docker_image!r}")
        return self.adopted({name: value for name, value in spec.items() if name != "docker"}, "an image", docker_image)

    def adopted(self, spec: Any, what: str, docker_image: str) -> dict[str, Any]:
        """`{"name", "region", "architecture", "tags"}`, all optional → a new image that boots `docker_image`. Called with a turn in moto."""
        from moto.ec2.models import ec2_backends
        from moto.ec2.utils import random_ami_id

        if not isinstance(spec, dict):
            raise KnobError(f"{what} is an object, got {spec!r}")
        if unknown := sorted(set(spec) - {"name", "region", "architecture", "tags"}):
            raise KnobError(f"{what} has no `{unknown[0]}`; it has name, region, architecture, tags")
        region = spec.get("region", DEFAULT_REGION)
        backend, ami_id = ec2_backends[ACCOUNT][region], random_ami_id()
        ami = Ami(
            backend, ami_id, name=spec.get("name", f"local-{ami_id}"), description="not built", owner_id=ACCOUNT, public=False,
            virtualization_type="hvm", architecture=spec.get("architecture", "x86_64"),
            creation_date=datetime.now(timezone.utc).replace(tzinfo=None), image_location=f"{ACCOUNT}/local",
            hypervisor="xen", root_device_type="ebs", root_device_name="/dev/xvda", region_name=f"{region}a", boot_mode="uefi-preferred",
        )  # fmt: skip
        ami.ena_support = True
        ami.polls_left, ami.end_state, ami.end_reason = 0, "available", ""
        ami.add_tags(spec.get("tags", {}))
        backend.amis[ami_id] = ami
        self.docker_of[ami_id] = docker_image
        return {"id": ami_id, "name": ami.name, "region": region, "snapshot": ami.ebs_snapshot.id}

    # --- looking -----------------------------------------------------------------------------------------------------

    def _poll(self, ami: Ami) -> None:
        """One look at a pending image. It is shown as pending `pending_polls` times."""
        if ami.state != "pending":
            return
        with self._lock:
            if ami.polls_left > 0:
                ami.polls_left -= 1
                return
        self._settle(ami)

    def _settle(self, ami: Ami) -> None:
        ami.state = ami.end_state
        ami.ebs_snapshot.status = "completed" if ami.state == "available" else "error"
        if ami.end_reason:
            ami.state_reason = {"Code": ami.end_reason.split(":")[0], "Message": ami.end_reason}

    def release(self, backends: list[Any]) -> None:
        """Let every pending image end at the next look."""
        for backend in backends:
            for ami in list(backend.amis.values()):
                if ami.state == "pending":
                    ami.polls_left = 0

    def describe(self, response: Any) -> ActionResult:
        get = response._get_param
        response.error_on_dryrun()
        ids, size, token = get("ImageIds", []), get("MaxResults"), get("NextToken")
        if ids and size:
            raise fault("InvalidParameterCombination", "The parameter imageIdsSet cannot be used with the parameter maxResults")
        backend = response.ec2_backend
        missing = [one for one in ids if one.startswith("ami-") and one not in backend.amis]
        if missing:
            raise fault(
                "InvalidAMIID.NotFound",
                f"The image id{'s' if len(missing) > 1 else ''} '[{', '.join(missing)}]' "
                f"do{'' if len(missing) > 1 else 'es'} not exist",
            )
        found = backend.describe_images(
            ami_ids=ids,
            filters=response._filters_from_querystring(),
            exec_users=get("ExecutableUsers", []),
            owners=get("Owners", []),
        )
        # By id, because a token has to mean the same when images come and go between two pages.
        found = sorted(found, key=lambda ami: ami.id)
        if token:
            found = [ami for ami in found if ami.id > token]
        result: dict[str, Any] = {"Images": found}
        if size and len(found) > int(size):
            result = {"Images": found[: int(size)], "NextToken": found[int(size) - 1].id}
        for ami in result["Images"]:
            self._poll(ami)
        return ActionResult(result)

    # --- removing ----------------------------------------------------------------------------------------------------

    def deregister(self, response: Any) -> ActionResult:
        ami_id, backend = response._get_param("ImageId"), response.ec2_backend
        response.error_on_dryrun()
        ami = backend.amis.get(ami_id)
        if ami is not None and ami.owner_id != ACCOUNT:
            raise fault("AuthFailure", f"Not authorized for image:{ami_id}")
        _deregister(backend, ami_id)
        if response._get_param("DeleteAssociatedSnapshots") and ami is not None:
            backend.snapshots.pop(ami.ebs_snapshot.id, None)
        with self._lock:
            commit = self.docker_of.pop(ami_id, "")
            last = commit in self._commits and commit not in self.docker_of.values()
            if last:
                self._commits.discard(commit)
        if last:
            self.boxes.drop_image(commit)
        return ActionResult({"Return": True})

    # --- attributes --------------------------------------------------------------------------------------------------

    def modify(self, response: Any) -> Any:
        ami = response.ec2_backend.amis.get(response._get_param("ImageId"))
        if ami is not None:
            for parameter, attribute in (("ImdsSupport", "imds_support"), ("Description", "description")):
                value = response._get_param(parameter)
                if value:
                    setattr(ami, attribute, value.get("Value") if isinstance(value, dict) else value)
        return _modify(response)

    def deprecate(self, response: Any) -> EmptyResult:
        ami = response.ec2_backend.describe_images(ami_ids=[response._get_param("ImageId")])[0]
        when = response._get_param("DeprecateAt")
        ami.deprecation_time = when.strftime("%Y-%m-%dT%H:%M:00.000Z") if isinstance(when, datetime) else when
        return EmptyResult()


def _mappings(ami: Ami) -> list[dict[str, Any]]:
    snapshot = ami.ebs_snapshot
    ebs = {"SnapshotId": snapshot.id, "VolumeSize": 8, "DeleteOnTermination": True, "VolumeType": "gp3", "Encrypted": False}
    return [{"DeviceName": ami.root_device_name, "Ebs": ebs}]


def patch(images: Images) -> None:
    """Put the above in the place of moto's own."""
    AmiBackend.create_image = lambda backend, *args, **kw: images.create(backend, *args, **kw)
    Ami.block_device_mappings = property(_mappings)

    # Functions, not bound methods: moto finds an action by looking for functions on the class.
    def copy_image(self: Any) -> Any:
        return images.copy(self)

    def describe_images(self: Any) -> Any:
        return images.describe(self)

    def deregister_image(self: Any) -> Any:
        return images.deregister(self)

    def modify_image_attribute(self: Any) -> Any:
        return images.modify(self)

    def enable_image_deprecation(self: Any) -> Any:
        return images.deprecate(self)

    for function in (copy_image, describe_images, deregister_image, modify_image_attribute, enable_image_deprecation):
        setattr(AmisResponse, function.__name__, function)
