# Owns: classic load balancers: what moto records of them as shapes for HAProxy, and HAProxy's findings as `DescribeInstanceHealth`.
# Must not: talk to HAProxy (balancers.py does) or decide who is registered (groups and callers do).
# Invariant: an instance is InService here exactly when HAProxy sends requests to it, or still serves those that it had when it left.
"""Elastic Load Balancing, version 2012-06-01."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from moto.core.responses import ActionResult
from moto.elb.exceptions import ELBClientError
from moto.elb.models import ELBBackend, FakeHealthCheck, FakeListener, LoadBalancer, elb_backends
from moto.elb.responses import ELBResponse

from . import ACCOUNT
from .addresses import Address
from .balancers import Balancers, Drain, Health, Wanted
from .certificates import pem
from .haproxy import Check, Listener, Pool, Route, Shape
from .knobs import Knobs

_create = ELBBackend.create_load_balancer
_create_listeners = ELBBackend.create_load_balancer_listeners
_delete = ELBBackend.delete_load_balancer

TARGET = re.compile(r"(HTTP|HTTPS|TCP|SSL):(\d+)(/.*)?")


def key_of(region: str, name: str) -> str:
    return f"elb/{region}/{name}"


def pool_of(port: Any) -> str:
    return f"p{int(port)}"


class Elb:
    """The classic load balancers of one server, in all regions."""

    def __init__(self, balancers: Balancers, knobs: Knobs, folder: Path) -> None:
        self.balancers = balancers
        self.knobs = knobs
        self.folder = folder
        self.addresses: dict[str, Address] = {}
        balancers.sources.append(self.wanted)

    def _check(self, balancer: LoadBalancer) -> Check:
        wanted = balancer.health_check
        protocol, port, path = TARGET.fullmatch(wanted.target).groups()
        return Check(
            protocol, int(port), path or "/", "200",
            int(wanted.interval) / self.knobs.clock, int(wanted.timeout) / self.knobs.clock,
            int(wanted.healthy_threshold), int(wanted.unhealthy_threshold),
        )  # fmt: skip

    def wanted(self) -> Iterator[Wanted]:
        """Every load balancer as it is recorded. Called with a turn in moto."""
        from moto.ec2.models import ec2_backends

        for region, backend in elb_backends[ACCOUNT].items():
            ec2 = ec2_backends[ACCOUNT][region]
            for balancer in backend.load_balancers.values():
                check = self._check(balancer)
                listeners, pools, servers = [], {}, {}
                for one in balancer.listeners:
                    mode = "http" if one.protocol in ("HTTP", "HTTPS") else "tcp"
                    name = pool_of(one.instance_port) + ("" if mode == "http" else "t")
                    certificate = pem(one.ssl_certificate_id, self.folder) if one.protocol in ("HTTPS", "SSL") else ""
                    listeners.append(Listener(int(one.load_balancer_port), mode, (Route(((name, 1),)),), certificate))
                    pools[name] = Pool(name, mode, one.instance_protocol in ("HTTPS", "SSL"), check)
                    servers[name] = {
                        instance.id: (instance.private_ip, int(one.instance_port))
                        for instance in map(ec2.get_instance_by_id, balancer.instance_ids)
                        if instance is not None and instance.state == "running"
                    }
                draining = balancer.attributes["connection_draining"]
                seconds = float(draining.get("timeout") or 300) if draining["enabled"] else 0.0
                idle = float(balancer.attributes["connection_settings"]["idle_timeout"])
                yield Wanted(
                    key_of(region, balancer.name),
                    Shape(balancer.dns_name, idle, tuple(listeners), tuple(pools.values())),
                    servers,
                    dict.fromkeys(pools, Drain(seconds / self.knobs.clock)),
                )

    # --- health ------------------------------------------------------------------------------------------------------

    def health(self, region: str, balancer: LoadBalancer, instance_id: str) -> Health:
        """In the pool of its first listener; all of them are checked at the same target."""
        if not balancer.listeners:
            return Health("absent")
        first = balancer.listeners[0]
        pool = pool_of(first.instance_port) + ("" if first.protocol in ("HTTP", "HTTPS") else "t")
        return self.balancers.health(key_of(region, balancer.name), pool, instance_id)

    def state(self, backend: ELBBackend, balancer: LoadBalancer, instance_id: str) -> dict[str, str]:
        from moto.ec2.models import ec2_backends

        def answer(state: str, reason: str, text: str) -> dict[str, str]:
            return {"InstanceId": instance_id, "State": state, "ReasonCode": reason, "Description": text}

        health = self.health(backend.region_name, balancer, instance_id)
        if instance_id not in balancer.instance_ids:
            if health.phase == "draining":
                return answer("InService", "N/A", "Instance deregistration currently in progress.")
            return answer("Unknown", "N/A", "Instance is not currently registered with the LoadBalancer.")
        instance = ec2_backends[ACCOUNT][backend.region_name].get_instance_by_id(instance_id)
        if instance is None or instance.state != "running":
            state = instance.state if instance else "terminated"
            return answer("OutOfService", "Instance", f"Instance is in {state} state.")
        if self.balancers.instant or health.phase == "up":
            return answer("InService", "N/A", "N/A")
        if health.phase == "down":
            return answer("OutOfService", "Instance", "Instance has failed at least the UnhealthyThreshold number of health checks consecutively.")
        return answer("OutOfService", "ELB", "Instance registration is still in progress.")

    def states(self, backend: ELBBackend, name: str, wanted: list[str]) -> list[dict[str, str]]:
        balancer = _named(backend, name)
        if not wanted:
            leaving = {
                instance
                for one in balancer.listeners
                for instance in self.balancers.draining(
                    key_of(backend.region_name, name), pool_of(one.instance_port) + ("" if one.protocol in ("HTTP", "HTTPS") else "t")
                )
            }
            wanted = balancer.instance_ids + sorted(leaving - set(balancer.instance_ids))
        return [self.state(backend, balancer, one) for one in wanted]

    def phase(self, region: str, name: str, instance_id: str) -> str:
        """For groups: `up` where every instance counts as that because there are no containers."""
        balancer = elb_backends[ACCOUNT][region].load_balancers.get(name)
        if balancer is not None and self.balancers.instant and instance_id in balancer.instance_ids:
            return "up"
        return self.health(region, balancer, instance_id).phase if balancer else "absent"

    # --- making and removing -----------------------------------------------------------------------------------------

    def create(self, backend: ELBBackend, **spec: Any) -> LoadBalancer:
        name = spec["name"]
        if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?", name or ""):
            raise ELBClientError("ValidationError", f"LoadBalancer name '{name}' may contain only letters, digits and hyphens, at most 32")
        balancer = _create(backend, **spec)
        _keep_instance_protocols(balancer, spec["ports"])
        address = self.addresses[key_of(backend.region_name, name)] = Address()
        balancer.dns_name = address.text
        # What AWS sets when nobody configures a health check.
        balancer.health_check = FakeHealthCheck("5", "10", "2", "30", f"TCP:{balancer.listeners[0].instance_port}")
        try:
            self._now(key_of(backend.region_name, name))
        except ELBClientError:
            self.delete(backend, name)
            raise
        return balancer

    def configure(self, backend: ELBBackend, load_balancer_name: str, *args: Any, **kw: Any) -> FakeHealthCheck:
        _named(backend, load_balancer_name)
        check = FakeHealthCheck(*args, **kw)
        if not TARGET.fullmatch(check.target):
            raise ELBClientError("ValidationError", f"HealthCheck Target '{check.target}' is not PROTOCOL:PORT or PROTOCOL:PORT/PATH")
        backend.load_balancers[load_balancer_name].health_check = check
        return check

    def create_listeners(self, backend: ELBBackend, name: str, ports: list[dict[str, Any]]) -> LoadBalancer:
        balancer = _named(backend, name)
        _create_listeners(backend, name, ports)
        _keep_instance_protocols(balancer, ports)
        self._now(key_of(backend.region_name, name))
        return balancer

    def delete(self, backend: ELBBackend, load_balancer_name: str) -> None:
        _delete(backend, load_balancer_name)
        self._now("")
        if address := self.addresses.pop(key_of(backend.region_name, load_balancer_name), None):
            address.release()

    def _now(self, key: str) -> None:
        """A caller may use the load balancer as soon as the call that made it has returned."""
        self.balancers.wake()
        self.balancers.sync()
        if problem := self.balancers.broken.get(key):
            raise ELBClientError("InternalFailure", problem)


def _named(backend: ELBBackend, name: str) -> LoadBalancer:
    balancer = backend.load_balancers.get(name)
    if balancer is None:
        raise ELBClientError("LoadBalancerNotFound", f"There is no ACTIVE Load Balancer named '{name}'")
    return balancer


def _keep_instance_protocols(balancer: LoadBalancer, ports: list[dict[str, Any]]) -> None:
    """moto forgets `InstanceProtocol`; it tells whether an instance is spoken to in TLS."""
    for port in ports:
        for listener in balancer.listeners:
            if int(listener.load_balancer_port) == int(port.get("LoadBalancerPort") or port.get("load_balancer_port")):
                listener.spoken = (port.get("InstanceProtocol") or listener.protocol).upper()


def _register(backend: ELBBackend, load_balancer_name: str, instance_ids: Iterable[str], from_autoscaling: bool = False) -> LoadBalancer:
    """One list for all, each instance once: whoever registered it, anybody may deregister it."""
    balancer = _named(backend, load_balancer_name)
    balancer.instance_sparse_ids += [one for one in dict.fromkeys(instance_ids) if one not in balancer.instance_sparse_ids]
    return balancer


def _deregister(backend: ELBBackend, load_balancer_name: str, instance_ids: Iterable[str], from_autoscaling: bool = False) -> LoadBalancer:
    balancer, gone = _named(backend, load_balancer_name), set(instance_ids)
    balancer.instance_sparse_ids = [one for one in balancer.instance_sparse_ids if one not in gone]
    return balancer


def _delete_listeners(backend: ELBBackend, name: str, ports: list[int]) -> LoadBalancer:
    """moto gives each remaining listener back once per port asked for."""
    balancer = _named(backend, name)
    balancer.listeners = [one for one in balancer.listeners if int(one.load_balancer_port) not in {int(port) for port in ports}]
    return balancer


def _modify(backend: ELBBackend, load_balancer_name: str, **attributes: Any) -> None:
    """moto keeps them as they came in, beside its own spelling; the draining that it then tells of is not the one asked for."""
    balancer = _named(backend, load_balancer_name)
    spelling = {"cross_zone": "cross_zone_load_balancing"}
    for name, given in attributes.items():
        if name == "additional_attributes":
            balancer.attributes[name] = [(one["Key"], one["Value"]) for one in given]
        else:
            mine = {re.sub(r"(?<!^)(?=[A-Z])", "_", key).lower(): value for key, value in given.items()}
            balancer.attributes[spelling.get(name, name)] = mine
    draining = balancer.attributes["connection_draining"]
    if draining["enabled"]:
        draining.setdefault("timeout", 300)


def patch(elb: Elb) -> None:
    """Put the above in the place of moto's own."""
    ELBBackend.create_load_balancer = lambda backend, *args, **kw: elb.create(backend, **_named_arguments(args, kw))
    ELBBackend.create_load_balancer_listeners = lambda backend, name, ports: elb.create_listeners(backend, name, ports)
    ELBBackend.delete_load_balancer = lambda backend, load_balancer_name: elb.delete(backend, load_balancer_name)
    ELBBackend.delete_load_balancer_listeners = _delete_listeners
    ELBBackend.configure_health_check = lambda backend, *args, **kw: elb.configure(backend, *args, **kw)
    ELBBackend.modify_load_balancer_attributes = _modify
    ELBBackend.register_instances = _register
    ELBBackend.deregister_instances = _deregister
    FakeListener.instance_protocol = property(lambda listener: getattr(listener, "spoken", listener.protocol))

    def describe_instance_health(self: Any) -> ActionResult:
        ids = [one["InstanceId"] for one in self._get_param("Instances", [])]
        return ActionResult({"InstanceStates": elb.states(self.elb_backend, self._get_param("LoadBalancerName"), ids)})

    def answer_instances(self: Any, change: Any) -> ActionResult:
        ids = [one["InstanceId"] for one in self._get_param("Instances", [])]
        balancer = change(self.elb_backend, self._get_param("LoadBalancerName"), ids)
        return ActionResult({"Instances": balancer.instances})

    def register_instances_with_load_balancer(self: Any) -> ActionResult:
        return answer_instances(self, _register)

    def deregister_instances_from_load_balancer(self: Any) -> ActionResult:
        return answer_instances(self, _deregister)

    for function in (describe_instance_health, register_instances_with_load_balancer, deregister_instances_from_load_balancer):
        setattr(ELBResponse, function.__name__, function)


def _named_arguments(args: tuple[Any, ...], kw: dict[str, Any]) -> dict[str, Any]:
    return dict(zip(("name", "zones", "ports", "scheme", "subnets", "security_groups"), args, strict=False)) | kw

