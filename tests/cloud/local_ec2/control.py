# Owns: the control endpoint of the tests: turning knobs, reading calls, asking what is left in the account.
# Must not: change anything in moto but pending images and new AMIs that nothing built, on request.
# Invariant: `left` is computed from moto and Docker at the moment of the question, never from what we remember having made.
"""`/_local/…`: JSON in, JSON out."""

from __future__ import annotations

import json
from typing import Any

from . import ACCOUNT
from .balancers import Balancers
from .boxes import Boxes, DockerError
from .front import Calls
from .images import Images
from .knobs import KnobError, Knobs
from .light import Light
from .networks import Networks
from .terraform import Terraform
from .turns import in_moto


def _tags(thing: Any) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in thing.get_tags()}


class Control:
    """The endpoint's requests, by method and path."""

    def __init__(
        self, knobs: Knobs, calls: Calls, images: Images, boxes: Boxes, light: Light, balancers: Balancers, networks: Networks,
        terraform: Terraform, about: dict[str, Any],
    ) -> None:  # fmt: skip
        self.knobs = knobs
        self.calls = calls
        self.images = images
        self.boxes = boxes
        self.light = light
        self.balancers = balancers
        self.networks = networks
        self.terraform = terraform
        self.about = about

    def handle(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        routes = {
            ("GET", "/_local/about"): lambda: self.about,
            ("GET", "/_local/knobs"): self.knobs.public,
            ("POST", "/_local/knobs"): lambda: self._turn(body),
            ("DELETE", "/_local/knobs"): self._reset_knobs,
            ("GET", "/_local/calls"): self.calls.public,
            ("POST", "/_local/calls/reset"): self._reset_calls,
            ("POST", "/_local/images"): lambda: self._image(body),
            ("POST", "/_local/images/release"): self._release,
            ("GET", "/_local/networks"): self.networks.public,
            ("POST", "/_local/networks"): lambda: self.networks.lay(json.loads(body or b"{}")),
            ("GET", "/_local/left"): self.left,
            ("POST", "/_local/light"): lambda: self._light(body),
            ("GET", "/_local/balancers"): self.balancers.public,
            ("POST", "/_local/terraform"): lambda: self.terraform.handle(body),
        }
        route = routes.get((method, path.rstrip("/")))
        if route is None:
            return 404, {"error": f"no {method} {path}", "there_is": [" ".join(key) for key in routes]}
        try:
            return 200, route()
        except (KnobError, TypeError, json.JSONDecodeError) as error:
            return 400, {"error": str(error)}
        except DockerError as error:
            return 500, {"error": str(error)}

    def _turn(self, body: bytes) -> Any:
        self.knobs.turn(json.loads(body or b"{}"))
        return self._turned()

    def _reset_knobs(self) -> Any:
        self.knobs.reset()
        return self._turned()

    def _turned(self) -> Any:
        with in_moto():
            self.light.turned()
        self.balancers.wake_if_any()
        return self.knobs.public()

    def _reset_calls(self) -> Any:
        self.calls.reset()
        return {}

    def _light(self, body: bytes) -> Any:
        with in_moto():
            return self.light.register(json.loads(body or b"{}"))

    def _image(self, body: bytes) -> Any:
        with in_moto():
            return self.images.adopt(json.loads(body or b"{}"))

    def _release(self) -> Any:
        self.images.release(_backends())
        return {}

    def left(self) -> dict[str, Any]:
        """What an account owner would find, apart from what was there at the start. Images are left on purpose or not:
        the tests know which; a snapshot whose image is gone is always an orphan and says so."""
        left: dict[str, list[Any]] = {
            name: []
            for name in ("instances", "key_pairs", "security_groups", "images", "snapshots", "volumes", "network_interfaces", "launch_templates")
        }
        for backend in _backends():
            region = backend.region_name
            for one in backend.all_instances():
                if one.state != "terminated":
                    left["instances"].append({"id": one.id, "region": region, "state": one.state, "image": one.image_id, "tags": _tags(one)})
            for one in list(backend.key_pairs.values()):
                left["key_pairs"].append({"id": one.id, "region": region, "name": one.key_name, "tags": _tags(one)})
            for groups in list(backend.groups.values()):
                for one in list(groups.values()):
                    if one.name != "default":
                        left["security_groups"].append({"id": one.id, "region": region, "name": one.name, "tags": _tags(one)})
            foreign = set()
            for one in list(backend.amis.values()):
                if one.owner_id != ACCOUNT:
                    foreign.add(one.ebs_snapshot.id)
                    continue
                left["images"].append(
                    {
                        "id": one.id, "region": region, "name": one.name, "state": one.state,
                        "snapshot": one.ebs_snapshot.id, "docker": self.images.docker_of.get(one.id), "tags": _tags(one),
                    }  # fmt: skip
                )
            for one in list(backend.snapshots.values()):
                if one.id not in foreign:
                    left["snapshots"].append(
                        {"id": one.id, "region": region, "image": one.from_ami, "orphan": one.from_ami not in backend.amis, "tags": _tags(one)}
                    )
            for one in list(backend.volumes.values()):
                left["volumes"].append({"id": one.id, "region": region, "state": one.status, "tags": _tags(one)})
            for one in list(backend.enis.values()):
                left["network_interfaces"].append({"id": one.id, "region": region})
            for one in list(backend.launch_templates.values()):
                left["launch_templates"].append({"id": one.id, "region": region, "name": one.name})
        return {**left, **_scaled(), "containers": self.boxes.containers(), "docker_images": self.boxes.images()}


def _scaled() -> dict[str, list[dict[str, str]]]:
    from moto.autoscaling.models import autoscaling_backends
    from moto.elb.models import elb_backends
    from moto.elbv2.models import elbv2_backends

    def named(backends: Any, attribute: str) -> list[dict[str, str]]:
        return [{"region": region, "name": one.name} for region, backend in [*backends[ACCOUNT].items()] for one in [*getattr(backend, attribute).values()]]

    return {
        "auto_scaling_groups": named(autoscaling_backends, "autoscaling_groups"),
        "load_balancers": named(elb_backends, "load_balancers") + named(elbv2_backends, "load_balancers"),
        "target_groups": named(elbv2_backends, "target_groups"),
    }


def _backends() -> list[Any]:
    from moto.ec2.models import ec2_backends

    return list(ec2_backends[ACCOUNT].values())
