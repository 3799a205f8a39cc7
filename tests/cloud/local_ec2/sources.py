# Owns: the source AMIs: what Debian's account publishes in each of our regions when the server starts.
# Must not: start anything; make images of our own account.
# Invariant: ids depend on region and name alone, so that a lock file written against one server is right for the next.
"""Public images that are there from the start."""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from typing import Any

from . import REGIONS

DEBIAN_OWNER = "136693071363"

# An older one beside the newest, so that "the newest that matches" is a choice; two architectures, so that it is the right one.
SOURCES = (
    ("debian-12-amd64-20261101-2200", "x86_64", datetime(2026, 11, 1, 22, 7, 41, tzinfo=timezone.utc)),
    ("debian-12-amd64-20261116-2299", "x86_64", datetime(2026, 11, 16, 23, 12, 5, tzinfo=timezone.utc)),
    ("debian-12-arm64-20261101-2200", "arm64", datetime(2026, 11, 1, 22, 9, 2, tzinfo=timezone.utc)),
    ("debian-12-arm64-20261116-2299", "arm64", datetime(2026, 11, 16, 23, 14, 30, tzinfo=timezone.utc)),
)


def source_id(region: str, name: str) -> str:
    return "ami-0" + hashlib.sha256(f"{region}/{name}".encode()).hexdigest()[:16]


def register(backends: Any, docker_image: str, docker_of: dict[str, str]) -> dict[str, dict[str, str]]:
    """Register the sources in every region; gives back region → name → id."""
    from moto.ec2.models.amis import Ami

    made: dict[str, dict[str, str]] = {}
    for region in REGIONS:
        backend = backends[region]
        for name, architecture, created in SOURCES:
            ami = Ami(
                backend,
                source_id(region, name),
                name=name,
                description="Debian 12 (20261116-2299)" if "20261116" in name else "Debian 12 (20261101-2200)",
                owner_id=DEBIAN_OWNER,
                public=True,
                virtualization_type="hvm",
                architecture=architecture,
                creation_date=created.replace(tzinfo=None),
                image_location=f"amazon/{name}",
                hypervisor="xen",
                root_device_type="ebs",
                root_device_name="/dev/xvda",
                region_name=f"{region}a",
                boot_mode="uefi" if architecture == "arm64" else "uefi-preferred",
            )
            ami.ena_support = True
            backend.amis[ami.id] = ami
            docker_of[ami.id] = docker_image
            made.setdefault(region, {})[name] = ami.id
    return made
