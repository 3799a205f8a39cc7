# Owns: light AMIs: their registration, what their instances find in the seed folder, and the `behave` knob's effect on those that run.
# Must not: start containers (boxes.py does). Invariant: a light AMI is an image of ours like any other for every API call.
"""AMIs whose instances answer on HTTP within a second, for tests of what comes after building."""

from __future__ import annotations

import fnmatch
import json
import os
from pathlib import Path
from typing import Any

from . import ACCOUNT
from .certificates import self_signed
from .images import Images
from .knobs import Knobs

PREFIX = "light:"
"""Before the name of a Docker image: boot it with the light server as its only process."""


class Light:
    """The light AMIs of one server."""

    def __init__(self, folder: Path, knobs: Knobs, images: Images, image: str) -> None:
        self.folder = folder
        self.knobs = knobs
        self.images = images
        self.image = image
        self._pem = b""

    def register(self, spec: Any) -> dict[str, Any]:
        """`{"name", "region", "architecture", "tags", "count"}` → the new image. Called with a turn in moto."""
        return self.images.adopted(spec, "a light AMI", PREFIX + self.image)

    def seed(self, instance: Any) -> None:
        """Beside cloud-init's files, since that folder is mounted already."""
        folder = self.folder / instance.id / "nocloud"
        if not self._pem:
            self._pem = b"".join(self_signed("light"))
        (folder / "light.pem").write_bytes(self._pem)
        (folder / "light-who.json").write_text(json.dumps({"ami": instance.image_id, "instance": instance.id}))
        self._write(folder, self.behaviour(instance))

    def behaviour(self, instance: Any) -> dict[str, Any]:
        tags = {tag["key"]: tag["value"] for tag in instance.get_tags()}
        group = tags.get("aws:autoscaling:groupName", "")
        for rule in reversed(self.knobs.behaviours):
            what = ((instance.image_id, rule.get("image", "*")), (instance.id, rule.get("instance", "*")), (group, rule.get("group", "*")))
            if all(fnmatch.fnmatchcase(value, pattern) for value, pattern in what):
                return {"mode": rule["mode"], "seconds": rule.get("seconds")}
        return {}

    @staticmethod
    def _write(folder: Path, how: dict[str, Any]) -> None:
        part = folder / "light.json.part"
        part.write_text(json.dumps(how))
        os.replace(part, folder / "light.json")

    def turned(self) -> None:
        """The knobs changed: tell those that run. Called with a turn in moto."""
        from moto.ec2.models import ec2_backends

        for backend in ec2_backends[ACCOUNT].values():
            for instance in backend.all_instances():
                folder = self.folder / instance.id / "nocloud"
                if (folder / "light-who.json").exists():
                    self._write(folder, self.behaviour(instance))
