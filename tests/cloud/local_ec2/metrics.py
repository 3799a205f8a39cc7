# Owns: what load balancers report to CloudWatch: requests, answers by class, hosts by health. Must not: count; HAProxy does.
# Invariant: every answer is reported once, in the second in which it was seen; a second without requests reports none, as on AWS.
"""CloudWatch metrics of load balancers."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Any

from . import ACCOUNT
from .balancers import Balancers
from .turns import in_moto

EVERY = 1.0
"""Seconds between two reports. AWS reports once a minute, and later."""


class Metrics:
    """Reports what `balancers` has counted."""

    def __init__(self, balancers: Balancers) -> None:
        self.balancers = balancers
        self._last: dict[tuple[str, str], dict[str, int]] = {}
        self._next = 0.0
        balancers.after.append(self.report)

    def report(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY
        for key in self.balancers.keys():
            counts, own = self.balancers.counts(key)
            gained = {pool: self._gained(key, pool, {"requests": one.requests, **one.by_class}) for pool, one in counts.items()}
            own_gained = self._gained(key, "", {"5xx": own})["5xx"]
            hosts = {pool: self.balancers.phases(key, pool) for pool in counts}
            region, namespace, rows = _classic(key, gained, own_gained, hosts) if key.startswith("elb/") else _application(key, gained, own_gained, hosts)
            if rows:
                self._put(region, namespace, rows)

    def _gained(self, key: str, pool: str, now: dict[str, int]) -> dict[str, int]:
        before = self._last.get((key, pool), {})
        self._last[key, pool] = now
        return {name: value - before.get(name, 0) for name, value in now.items()}

    @staticmethod
    def _put(region: str, namespace: str, rows: list[tuple[str, dict[str, str], int]]) -> None:
        from moto.cloudwatch.models import cloudwatch_backends

        # As moto keeps moments: in UTC and without saying so.
        moment = datetime.now(timezone.utc).replace(tzinfo=None)
        data: list[dict[str, Any]] = [
            {
                "MetricName": name, "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
                "Value": float(value), "Unit": "Count", "Timestamp": moment,
            }
            for name, dimensions, value in rows
        ]  # fmt: skip
        with in_moto():
            cloudwatch_backends[ACCOUNT][region].put_metric_data(namespace, data)


Found = tuple[str, str, list[tuple[str, dict[str, str], int]]]


def _sum(gained: dict[str, dict[str, int]], name: str) -> int:
    return sum(one[name] for one in gained.values())


def _classic(key: str, gained: dict[str, dict[str, int]], own: int, hosts: dict[str, list[str]]) -> Found:
    _, region, name = key.split("/", 2)
    where = {"LoadBalancerName": name}
    # A request that reached no instance is in none of these but the last: so AWS counts.
    rows = [("RequestCount", where, _sum(gained, "requests"))]
    rows += [(f"HTTPCode_Backend_{kind.upper()}", where, _sum(gained, kind)) for kind in ("2xx", "3xx", "4xx", "5xx")]
    rows.append(("HTTPCode_ELB_5XX", where, own))
    return region, "AWS/ELB", [row for row in rows if row[2]] + _hosts(next(iter(hosts.values()), []), where)


def _application(key: str, gained: dict[str, dict[str, int]], own: int, hosts: dict[str, list[str]]) -> Found:
    region, balancer = key.split(":")[3], {"LoadBalancer": key.split("loadbalancer/", 1)[1]}
    rows = [("RequestCount", balancer, _sum(gained, "requests") + own), ("HTTPCode_ELB_5XX_Count", balancer, own)]
    rows += [(f"HTTPCode_Target_{kind.upper()}_Count", balancer, _sum(gained, kind)) for kind in ("2xx", "3xx", "4xx", "5xx")]
    for pool, one in gained.items():
        where = {**balancer, "TargetGroup": _target_group(pool)}
        rows.append(("RequestCount", where, one["requests"]))
        rows += [(f"HTTPCode_Target_{kind.upper()}_Count", where, one[kind]) for kind in ("2xx", "3xx", "4xx", "5xx")]
    rows = [row for row in rows if row[2]]
    for pool in gained:
        rows += _hosts(hosts[pool], {**balancer, "TargetGroup": _target_group(pool)})
    return region, "AWS/ApplicationELB", rows


def _target_group(pool: str) -> str:
    from moto.elbv2.models import elbv2_backends

    ids = (arn.rsplit(":", 1)[1] for one in elbv2_backends[ACCOUNT].values() for arn in [*one.target_groups] if arn.endswith("/" + pool.removeprefix("tg")))
    return next(ids, pool)


def _hosts(phases: list[str], where: dict[str, str]) -> list[tuple[str, dict[str, str], int]]:
    if not phases:
        return []
    return [("HealthyHostCount", where, phases.count("up")), ("UnHealthyHostCount", where, phases.count("down"))]
