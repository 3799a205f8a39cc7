# Owns: instances: moto's run, start, stop and terminate with a container behind each instance, and what EC2 refuses before it runs one.
# Must not: make images; know Docker's flags.
# Invariant: an instance that moto calls running or stopped has its container, unless it is an instant one; a terminated one has none.
"""Instances as containers."""

from __future__ import annotations

import base64
import copy
import re
import shutil
import threading
from typing import Any

from moto.ec2.models.instances import Instance, InstanceBackend
from moto.ec2.models.security_groups import SecurityGroupBackend

from .boxes import Addresses, Boxes, DockerError
from .images import Images, fault
from .knobs import Knobs
from .light import PREFIX, Light
from .networks import Networks
from .seed import write_seed

_run = InstanceBackend.run_instances
_start = InstanceBackend.start_instances
_stop = InstanceBackend.stop_instances
_terminate = InstanceBackend.terminate_instances
_delete_group = SecurityGroupBackend.delete_security_group

# t4g, m6g, c7gn, x2gd, a1: Graviton. g4dn and gr6 are not: there the g stands first.
ARM_TYPE = re.compile(r"(a1|[a-z]+\d+[a-z]*g[a-z]*)\.")


def type_architecture(instance_type: str) -> str:
    return "arm64" if ARM_TYPE.match(instance_type) else "x86_64"


def user_data_bytes(user_data: Any) -> bytes:
    return base64.b64decode(str(user_data)) if user_data else b""


class Instances:
    """The instances of one server, in all regions."""

    def __init__(self, boxes: Boxes, knobs: Knobs, images: Images, light: Light, networks: Networks) -> None:
        self.boxes = boxes
        self.knobs = knobs
        self.images = images
        self.light = light
        self.networks = networks
        self._lock = threading.Lock()
        self._tokens: dict[tuple[str, str], Any] = {}

    # --- run ---------------------------------------------------------------------------------------------------------

    def _check(self, backend: Any, image_id: str | None, kwargs: dict[str, Any]) -> None:
        template = backend._get_template_from_args(kwargs["launch_template"]).data if kwargs.get("launch_template") else {}
        image_id = image_id or template.get("ImageId")
        ami = backend.amis.get(image_id or "")
        if ami is None:
            raise fault("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
        if ami.state != "available":
            raise fault("InvalidAMIID.Unavailable", f"The image ID '{image_id}' is not available")
        key = kwargs.get("key_name") or template.get("KeyName")
        if key and key not in backend.key_pairs:
            raise fault("InvalidKeyPair.NotFound", f"The key pair '{key}' does not exist")
        kind = template.get("InstanceType") if kwargs.get("is_instance_type_default") else kwargs.get("instance_type")
        wanted = type_architecture(kind or "t3.micro")
        if wanted != ami.architecture:
            raise fault(
                "InvalidParameterValue",
                f"The architecture '{wanted}' of the specified instance type does not match the architecture "
                f"'{ami.architecture}' of the specified AMI. Specify an instance type and an AMI that have matching "
                "architectures, and try again.",
            )

    def run(
        self, backend: Any, image_id: str, count: int, user_data: Any, security_group_names: Any, **kwargs: Any
    ) -> Any:
        made = kwargs.pop("made", None)
        # moto fills in the same token for everybody who gives none.
        token = kwargs.get("client_token")
        key = (backend.region_name, token) if token and token != "ABCDE" else None
        with self._lock:
            if key in self._tokens:
                return self._tokens[key]
        self._check(backend, image_id, kwargs)
        reservation = _run(backend, image_id, count, user_data, security_group_names, **kwargs)
        try:
            for instance in reservation.instances:
                if made is not None:
                    made(instance)
            for instance in reservation.instances:
                self._boot(backend, instance)
        except DockerError as error:
            self._remove(backend, [one.id for one in reservation.instances])
            backend.reservations.pop(reservation.id, None)
            raise fault("InternalError", str(error)) from error
        if key:
            with self._lock:
                self._tokens[key] = reservation
        return reservation

    def _boot(self, backend: Any, instance: Instance) -> None:
        instance.boxed = not self.knobs.instant
        if not instance.boxed:
            return
        image = self.images.docker_of.get(instance.image_id, "")
        pair = backend.key_pairs.get(instance.key_name)
        write_seed(
            self.boxes.folder / instance.id,
            instance.id,
            pair.public_key if pair else None,
            user_data_bytes(instance.user_data),
        )
        instance._state.name, instance._state.code = "pending", 0
        if image.startswith(PREFIX):
            self.light.seed(instance)
            addresses = self.boxes.start_light(instance.id, image.removeprefix(PREFIX))
        else:
            addresses = self.boxes.start(instance.id, image, self.networks.of(backend.region_name))
        _address(instance, addresses)
        instance._state.name, instance._state.code = "running", 16

    # --- the rest of its life ------------------------------------------------------------------------------------------

    def start(self, backend: Any, instance_ids: list[str]) -> Any:
        started = _start(backend, instance_ids)
        for instance, _ in started:
            if getattr(instance, "boxed", False):
                _address(instance, self.boxes.restart(instance.id, self.networks.of(backend.region_name)))
        return started

    def stop(self, backend: Any, instance_ids: list[str]) -> Any:
        for instance in backend.get_multi_instances_by_id(instance_ids):
            if instance.state == "terminated":
                raise fault("IncorrectInstanceState", f"This instance '{instance.id}' is not in a state from which it can be stopped.")
            if getattr(instance, "boxed", False) and instance.state == "running":
                self.boxes.stop(instance.id)
        return _stop(backend, instance_ids)

    def terminate(self, backend: Any, instance_ids: list[str]) -> Any:
        gone = {one.id: one for one in backend.get_multi_instances_by_id(instance_ids or []) if one.state == "terminated"}
        alive = [one for one in instance_ids if one not in gone]
        result = _terminate(backend, alive) if alive or not instance_ids else []
        self._remove(backend, alive)
        return result + [(instance, copy.copy(instance._state)) for instance in gone.values()]

    def _remove(self, backend: Any, instance_ids: list[str]) -> None:
        for instance in backend.get_multi_instances_by_id(instance_ids):
            for nic in instance.nics.values():
                backend.enis.pop(nic.id, None)
                nic.public_ip = None
            if getattr(instance, "boxed", False):
                self.boxes.remove(instance.id)
                shutil.rmtree(self.boxes.folder / instance.id, ignore_errors=True)

    def delete_group(self, backend: Any, *args: Any, **kwargs: Any) -> Any:
        """A group that an instance still has cannot be deleted: clean-up in the wrong order must not pass here."""
        wanted = {value for value in (*args, *kwargs.values()) if value}
        for instance in backend.all_instances():
            if instance.state == "terminated":
                continue
            for group in instance.security_groups:
                if group.id in wanted or group.name in wanted:
                    raise fault("DependencyViolation", f"resource {group.id} has a dependent object")
        return _delete_group(backend, *args, **kwargs)


def _address(instance: Instance, addresses: Addresses) -> None:
    """The container's address is both the private and the public one, unless regions are networks; all are reachable from this host."""
    for nic in instance.nics.values():
        nic.private_ip_address = addresses.private
        nic.public_ip = addresses.public
        for one in nic.private_ip_addresses:
            one["PrivateIpAddress"] = addresses.private


def _root_volume(instance: Instance) -> None:
    backend = instance.ec2_backend
    volume = backend.create_volume(size=8, zone_name=instance.placement.zone, volume_type="gp3")
    backend.attach_volume(volume.id, instance.id, instance.root_device_name, True)


def patch(instances: Instances) -> None:
    """Put the above in the place of moto's own."""
    InstanceBackend.run_instances = lambda backend, *args, **kw: instances.run(backend, *args, **kw)
    InstanceBackend.start_instances = lambda backend, ids: instances.start(backend, ids)
    InstanceBackend.stop_instances = lambda backend, ids: instances.stop(backend, ids)
    InstanceBackend.terminate_instances = lambda backend, ids: instances.terminate(backend, ids)
    SecurityGroupBackend.delete_security_group = lambda backend, *args, **kw: instances.delete_group(backend, *args, **kw)
    Instance.setup_defaults = _root_volume
