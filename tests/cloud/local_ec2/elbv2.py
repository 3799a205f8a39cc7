# Owns: application and network load balancers and target groups: what moto records of them as shapes for HAProxy, and HAProxy's
# findings as `DescribeTargetHealth`.
# Must not: talk to HAProxy (balancers.py does) or decide who is registered.
# Invariant: a target is healthy here exactly when HAProxy sends requests to it; one that left is draining for the whole delay, as on AWS.
"""Elastic Load Balancing, version 2015-12-01."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from moto.elbv2.exceptions import ELBClientError
from moto.elbv2.models import ELBv2Backend, FakeHealthStatus, FakeListener, FakeLoadBalancer, FakeTargetGroup, elbv2_backends

from . import ACCOUNT
from .addresses import Address
from .balancers import Balancers, Drain, Health, Wanted
from .certificates import pem
from .haproxy import Check, Listener, Pool, Route, Shape
from .knobs import Knobs

_create = ELBv2Backend.create_load_balancer
_create_listener = ELBv2Backend.create_listener
_delete = ELBv2Backend.delete_load_balancer

PLAIN = ("HTTP", "HTTPS")


def pool_of(arn: str) -> str:
    return "tg" + arn.rsplit("/", 1)[-1]


def _pattern(glob: str) -> str:
    """AWS's `*` and `?` as a regular expression in one word of HAProxy's configuration."""
    parts = {"*": ".*", "?": "."}
    return "^" + "".join(parts.get(char) or (char if re.match(r"[A-Za-z0-9/_-]", char) else f"[{char}]" if char not in "^]\\ '\"#" else ".") for char in glob) + "$"


def _conditions(conditions: list[dict[str, Any]]) -> tuple[str, ...]:
    found = []
    for one in conditions:
        field = one["Field"]
        config = next((value for key, value in one.items() if key.endswith("Config")), {})
        values = one.get("Values") or config.get("Values") or []
        if field == "path-pattern":
            found.append("path -m reg " + " ".join(map(_pattern, values)))
        elif field == "host-header":
            found.append("hdr(host) -m reg -i " + " ".join(map(_pattern, values)))
        elif field == "http-request-method":
            found.append("method " + " ".join(values))
        elif field == "http-header":
            found.append(f"req.hdr({config['HttpHeaderName']}) -m reg -i " + " ".join(map(_pattern, values)))
        elif field == "source-ip":
            found.append("src " + " ".join(values))
        else:
            found.append("always_false")  # query strings: not imitated, so such a rule never fits
    return tuple(found)


def _quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\$`])', r"\\\1", text).replace("\n", "\\n") + '"'


def _arns(action: Any) -> list[tuple[str, int]]:
    """Target groups of a forward action with their weights."""
    config = action.data.get("ForwardConfig", {}).get("TargetGroups") or []
    if config:
        return [(one["TargetGroupArn"], int(one.get("Weight") or 0) if len(config) > 1 else 1) for one in config]
    return [(action.data["TargetGroupArn"], 1)] if action.data.get("TargetGroupArn") else []


def _route(rule: Any) -> Route:
    action = rule.actions[-1]
    conditions = _conditions(rule.conditions)
    if action.type == "forward":
        return Route(tuple((pool_of(arn), weight) for arn, weight in _arns(action)), conditions)
    if action.type == "fixed-response":
        config = action.data["FixedResponseConfig"]
        body = f" content-type {config.get('ContentType') or 'text/plain'} string {_quoted(config['MessageBody'])}" if config.get("MessageBody") else ""
        return Route((), conditions, f"return status {config['StatusCode']}{body}")
    if action.type == "redirect":
        config = action.data["RedirectConfig"]
        words = {"protocol": "%[ssl_fc,iif(https,http)]", "host": "%[req.hdr(host),field(1,:)]", "port": "%[dst_port]", "path": "%[path,bytes(1)]", "query": "%[query]"}
        target = "{protocol}://{host}:{port}{path}?{query}".format(
            protocol=(config.get("Protocol") or "#{protocol}").lower(), host=config.get("Host") or "#{host}",
            port=config.get("Port") or "#{port}", path=config.get("Path") or "/#{path}", query=config.get("Query") or "#{query}",
        )  # fmt: skip
        for word, here in words.items():
            target = target.replace("#{" + word + "}", here)
        return Route((), conditions, f"redirect location {target} code {config['StatusCode'].removeprefix('HTTP_')}")
    return Route((), conditions, "return status 501")  # authentication: not imitated


class Elbv2:
    """The load balancers and target groups of one server, in all regions."""

    def __init__(self, balancers: Balancers, knobs: Knobs, folder: Path) -> None:
        self.balancers = balancers
        self.knobs = knobs
        self.folder = folder
        self.addresses: dict[str, Address] = {}
        balancers.sources.append(self.wanted)

    def _pool(self, group: FakeTargetGroup) -> Pool:
        mode = "http" if group.protocol in PLAIN else "tcp"
        port = str(group.health_check_port or "traffic-port")
        check = Check(
            group.health_check_protocol or "TCP", None if port == "traffic-port" else int(port), group.health_check_path or "/",
            str((getattr(group, "matcher", None) or {}).get("HttpCode") or "200"),
            int(group.health_check_interval_seconds) / self.knobs.clock, int(group.health_check_timeout_seconds) / self.knobs.clock,
            int(group.healthy_threshold_count), int(group.unhealthy_threshold_count),
        )  # fmt: skip
        return Pool(pool_of(group.arn), mode, group.protocol in ("HTTPS", "TLS"), check)

    def wanted(self) -> Iterator[Wanted]:
        """Every load balancer that has a listener. Called with a turn in moto."""
        from moto.ec2.models import ec2_backends

        for region, backend in elbv2_backends[ACCOUNT].items():
            ec2 = ec2_backends[ACCOUNT][region]
            for balancer in backend.load_balancers.values():
                if not balancer.listeners:
                    continue
                listeners, pools, servers, drain = [], {}, {}, {}
                for one in balancer.listeners.values():
                    rules = sorted(one.rules.values(), key=lambda rule: 10**6 if rule.priority == "default" else int(rule.priority))
                    certificate = pem(one.certificate, self.folder) if one.protocol in ("HTTPS", "TLS") else ""
                    listeners.append(Listener(int(one.port), "http" if one.protocol in PLAIN else "tcp", tuple(map(_route, rules)), certificate))
                for group in _groups_of(backend, balancer):
                    pool = self._pool(group)
                    pools[pool.name] = pool
                    servers[pool.name] = {
                        target: (instance.private_ip if instance else target, int(where["Port"]))
                        for target, where in group.targets.items()
                        for instance in [ec2.get_instance_by_id(target) if target.startswith("i-") else None]
                        if instance is None or instance.state == "running"
                    }
                    delay = float(group.attributes["deregistration_delay.timeout_seconds"])
                    drain[pool.name] = Drain(delay / self.knobs.clock, whole=True)
                idle = float(balancer.attrs.get("idle_timeout.timeout_seconds", 60))
                yield Wanted(balancer.arn, Shape(balancer.dns_name, idle, tuple(listeners), tuple(pools.values())), servers, drain)

    # --- health ------------------------------------------------------------------------------------------------------

    def health(self, group: FakeTargetGroup, instance: str) -> Health:
        for arn in group.load_balancer_arns:
            return self.balancers.health(arn, pool_of(group.arn), instance)
        return Health("absent")

    def phase(self, region: str, arn: str, instance: str) -> str:
        """For groups: `up` where every instance counts as that because there are no containers."""
        group = elbv2_backends[ACCOUNT][region].target_groups.get(arn)
        if group is not None and self.balancers.instant and instance in group.targets:
            return "up"
        return self.health(group, instance).phase if group else "absent"

    def state(self, group: FakeTargetGroup, target: dict[str, Any]) -> FakeHealthStatus:
        instance_id, known = target["Id"], group.targets.get(target["Id"])
        port = target.get("Port") or (known or {}).get("Port", group.port)

        def answer(state: str, reason: str | None = None, text: str | None = None) -> FakeHealthStatus:
            return FakeHealthStatus(instance_id, port, str(port) if group.health_check_port == "traffic-port" else group.health_check_port, state, reason, text)

        health = self.health(group, instance_id)
        if known is None:
            if health.phase == "draining":
                return answer("draining", "Target.DeregistrationInProgress", "Target deregistration is in progress")
            return answer("unused", "Target.NotRegistered", "Target is not registered to the target group")
        if instance_id.startswith("i-"):
            instance = group.ec2_backend.get_instance_by_id(instance_id)
            if instance is None or instance.state != "running":
                return answer("unused", "Target.InvalidState", f"Target is in the {instance.state if instance else 'terminated'} state")
        if not group.load_balancer_arns:
            return answer("unused", "Target.NotInUse", "Target group is not configured to receive traffic from the load balancer")
        if self.balancers.instant or health.phase == "up":
            return answer("healthy")
        if health.phase == "down":
            if health.check.endswith("STS"):
                return answer("unhealthy", "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{health.code}]")
            if health.check.endswith("TOUT"):
                return answer("unhealthy", "Target.Timeout", "Request timed out")
            return answer("unhealthy", "Target.FailedHealthChecks", "Health checks failed")
        if health.phase == "waiting" and health.check:
            return answer("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")
        return answer("initial", "Elb.RegistrationInProgress", "Target registration is in progress")

    def states(self, backend: ELBv2Backend, arn: str, targets: list[dict[str, Any]]) -> list[FakeHealthStatus]:
        group = backend.target_groups.get(arn)
        if group is None:
            raise ELBClientError("TargetGroupNotFound", f"One or more target groups not found: '{arn}'")
        if not targets:
            leaving = {one for balancer in group.load_balancer_arns for one in self.balancers.draining(balancer, pool_of(arn))}
            targets = [*group.targets.values(), *({"Id": one} for one in sorted(leaving - set(group.targets)))]
        return [self.state(group, one) for one in targets]

    # --- making and removing -----------------------------------------------------------------------------------------

    def create(self, backend: ELBv2Backend, **spec: Any) -> FakeLoadBalancer:
        if any(one.name == spec["name"] for one in backend.load_balancers.values()):
            raise ELBClientError("DuplicateLoadBalancerName", f"A load balancer with the same name '{spec['name']}' exists, but with different settings")
        balancer = _create(backend, **spec)
        address = self.addresses[balancer.arn] = Address()
        balancer.dns_name = address.text
        return balancer

    def create_listener(self, backend: ELBv2Backend, load_balancer_arn: str, **spec: Any) -> FakeListener:
        balancer = backend.load_balancers.get(load_balancer_arn)
        if balancer is not None and any(int(one.port) == int(spec["port"]) for one in balancer.listeners.values()):
            raise ELBClientError("DuplicateListener", "A listener already exists on this port for this load balancer")
        for action in spec["actions"]:
            groups = [one.get("TargetGroupArn") for one in action.get("ForwardConfig", {}).get("TargetGroups", [])]
            for arn in filter(None, [*groups, action.get("TargetGroupArn")]):
                group = backend.target_groups.get(arn)
                if group is not None and any(one != load_balancer_arn for one in group.load_balancer_arns):
                    raise ELBClientError("TargetGroupAssociationLimit", f"The following target groups cannot be associated with more than one load balancer: {arn}")
        listener = _create_listener(backend, load_balancer_arn=load_balancer_arn, **spec)
        self.balancers.wake()
        self.balancers.sync()
        if problem := self.balancers.broken.get(load_balancer_arn):
            backend.load_balancers[load_balancer_arn].listeners.pop(listener.arn, None)
            raise ELBClientError("InternalFailure", problem)
        return listener

    def delete(self, backend: ELBv2Backend, arn: str) -> None:
        _delete(backend, arn)
        self.balancers.sync()
        if address := self.addresses.pop(arn, None):
            address.release()


def _groups_of(backend: ELBv2Backend, balancer: FakeLoadBalancer) -> list[FakeTargetGroup]:
    arns = {arn for one in balancer.listeners.values() for rule in one.rules.values() for action in rule.actions for arn, _ in _arns(action)}
    return [backend.target_groups[arn] for arn in sorted(arns) if arn in backend.target_groups]


def _balancers_of(group: FakeTargetGroup) -> list[str]:
    """Those that forward to it now; moto keeps a list that only grows."""
    backend = elbv2_backends[ACCOUNT][group.region_name]
    return [one.arn for one in backend.load_balancers.values() if group in _groups_of(backend, one)]


def patch(elbv2: Elbv2) -> None:
    """Put the above in the place of moto's own."""
    ELBv2Backend.create_load_balancer = lambda backend, **spec: elbv2.create(backend, **spec)
    ELBv2Backend.create_listener = lambda backend, load_balancer_arn, **spec: elbv2.create_listener(backend, load_balancer_arn, **spec)
    ELBv2Backend.delete_load_balancer = lambda backend, arn: elbv2.delete(backend, arn)
    ELBv2Backend.describe_target_health = lambda backend, arn, targets: elbv2.states(backend, arn, targets)
    FakeTargetGroup.load_balancer_arns = property(_balancers_of, lambda _group, _arns: None)
