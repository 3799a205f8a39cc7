# Owns: the networks of several clouds: one Docker network a region, one between them all, and on each region's gateway a front that is
# what instances reach of AWS: `http://GATEWAY`, and `https://ec2.REGION.amazonaws.com` for programs that take no endpoint.
# Must not: start instances; write into them: whoever asked gets addresses and CA, and hands them on in user data.
# Invariant: without a request for networks nothing here exists, and every network carries the server's label.
"""Regions that are networks of their own."""

from __future__ import annotations

import ipaddress
import json
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .boxes import docker
from .certificates import authority
from .haproxy import Check, Haproxy, Listener, Pool, Route, Server, Shape
from .knobs import KnobError

PUBLIC = "public"


@dataclass(frozen=True)
class Network:
    """A Docker network: its name there, its addresses, and the host's own address in it."""

    name: str
    subnet: str
    gateway: str


class Networks:
    """The networks of one server."""

    def __init__(self, server_id: str, label: str, folder: Path) -> None:
        self.server_id = server_id
        self.label = label
        self.folder = folder
        self.endpoint = ""  # where moto listens; known when it does
        self._laid: dict[str, Network] = {}
        self._fronts: list[Haproxy] = []
        self._ca = ""
        self._lock = threading.Lock()

    def of(self, region: str) -> tuple[str, ...]:
        """Docker networks that an instance in this region is on, its own one first; none: Docker's default."""
        names = [self._laid[one].name for one in (region, PUBLIC) if one in self._laid]
        return tuple(names) if region in self._laid else ()

    def lay(self, spec: Any) -> dict[str, Any]:
        """`{"regions": [REGION…]}`: from now on instances of these regions are on their region's network and on the public one."""
        regions = spec.get("regions") if isinstance(spec, dict) and set(spec) == {"regions"} else None
        if not isinstance(regions, list) or not regions or not all(isinstance(one, str) and one for one in regions):
            raise KnobError(f"networks want {{\"regions\": [\"ap-northeast-1\", …]}}, got {spec!r}")
        with self._lock:
            if self._laid:
                raise KnobError(f"there are networks already, of {', '.join(sorted(set(self._laid) - {PUBLIC}))}")
            try:
                for one in regions:
                    self._laid[one] = self._make(f"private-{one}")
                # Docker numbers an instance's interfaces by their networks' names: eth0 is the private one, eth1 this.
                self._laid[PUBLIC] = self._make(PUBLIC)
                self._front(regions)
            except BaseException:
                self._remove()
                raise
        return self.public()

    def public(self) -> dict[str, Any]:
        """What user data has to say to an instance, by region."""
        regions = [one for one in self._laid if one != PUBLIC]
        names = [f"ec2.{one}.amazonaws.com" for one in regions]
        return {
            "regions": {
                one: {
                    "subnet": self._laid[one].subnet, "gateway": self._laid[one].gateway,
                    "endpoint": f"http://{self._laid[one].gateway}", "hosts": {name: self._laid[one].gateway for name in names},
                    "cluster": self._inputs(one, names),
                }
                for one in regions
            },
            "public": self._laid[PUBLIC].subnet if regions else None,
            "ca": self._ca,
        }  # fmt: skip

    def _inputs(self, region: str, names: list[str]) -> dict[str, Any]:
        """The same as inputs of terraform/modules/cluster. A real cloud needs none of them but, behind a translation of addresses,
        `advertise_wan`."""
        gateway = self._laid[region].gateway
        return {
            "hosts": {name: gateway for name in names},
            "trusted_ca": [self._ca],
            "variables": {"AWS_ENDPOINT_URL": f"http://{gateway}", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
            "addresses": {"advertise": "{{ GetInterfaceIP `eth0` }}", "advertise_wan": "{{ GetInterfaceIP `eth1` }}"},
        }

    def close(self) -> None:
        """The fronts end; the networks go with the containers on them, by the reaper."""
        for front in self._fronts:
            front.close()

    def _make(self, name: str) -> Network:
        network = f"local-ec2-{self.server_id}-{name}"
        docker("network", "create", "--label", self.label, network)
        config = json.loads(docker("network", "inspect", "--format", "{{json .IPAM.Config}}", network))[0]
        return Network(network, config["Subnet"], config["Gateway"])

    def _front(self, regions: list[str]) -> None:
        names = [f"ec2.{one}.amazonaws.com" for one in regions]
        gateways = [self._laid[one].gateway for one in regions]
        self._ca, leaf = authority("local EC2", names, [ipaddress.ip_address(one) for one in gateways])
        certificate = "networks.pem"
        with os.fdopen(os.open(self.folder / certificate, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(leaf)
        host, port = self.endpoint.removeprefix("http://").split(":")
        # A moto that is busy answers late, and late is not gone: only a minute of silence is.
        pool = Pool("moto", "http", False, Check("HTTP", int(port), "/_local/about", "200", 10.0, 10.0, 1, 6))
        route = (Route((("moto", 1),)),)
        for number, gateway in enumerate(gateways):
            front = Haproxy(self.folder, f"networks-{number}")
            self._fronts.append(front)
            shape = Shape(gateway, 120.0, (Listener(80, "http", route), Listener(443, "http", route, certificate)), (pool,))
            front.configure(shape, {"moto": [Server("moto", host, int(port))]})

    def _remove(self) -> None:
        self.close()
        for one in self._laid.values():
            docker("network", "rm", one.name)
        self._laid.clear()
        self._fronts.clear()
