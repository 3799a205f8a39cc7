# Owns: the loop that makes every HAProxy follow what the API says: processes, servers in and out, draining, and what their checks found.
# Must not: know moto's classes or the AWS words for a state (elb.py and elbv2.py translate both ways).
# Invariant: the lock is taken before a turn in moto, never inside one; a server leaves a pool drained, or cut when its drain time is over.
"""All load balancers of one server."""

from __future__ import annotations

import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from .haproxy import Haproxy, HaproxyError, Pool, Server, Shape
from .knobs import Knobs
from .turns import aside, in_moto

TICK = 0.1


@dataclass(frozen=True)
class Drain:
    """How a server leaves: `seconds` at most; `whole`: that long even when nobody is served any more."""

    seconds: float
    whole: bool = False


@dataclass
class Wanted:
    """A load balancer as the API has it at this moment."""

    key: str
    shape: Shape
    servers: dict[str, dict[str, tuple[str, int]]]  # pool → instance → address, port
    drain: dict[str, Drain]  # pool → how


@dataclass(frozen=True)
class Health:
    """What is known of one server in one pool."""

    phase: str  # absent | waiting (not checked often enough) | up | down | draining
    check: str = ""  # HAProxy's word for its last check: L7OK, L7STS, L4CON, L4TOUT, …
    code: str = ""


@dataclass
class _Server:
    address: str
    port: int
    since: float
    drain_from: float | None = None
    seen: dict[str, str] = field(default_factory=dict)
    leaving: bool = False
    left_with: subprocess.Popen[bytes] | None = None  # it drains in a HAProxy that has handed over


@dataclass
class Count:
    """What one pool has answered since its load balancer exists."""

    requests: int = 0
    by_class: dict[str, int] = field(default_factory=lambda: {"2xx": 0, "3xx": 0, "4xx": 0, "5xx": 0})


class _Balancer:
    """One HAProxy and the servers that are in it."""

    def __init__(self, haproxy: Haproxy) -> None:
        self.haproxy = haproxy
        self.pools: dict[str, Pool] = {}
        self.servers: dict[str, dict[str, _Server]] = {}
        self.counts: dict[str, Count] = {}
        self.own_5xx = 0
        self._frontend_5xx = 0
        self._sent_5xx = 0
        self._backend_5xx = 0

    def apply(self, wanted: Wanted, slow_drain: float) -> None:
        now = time.monotonic()
        self.pools = {one.name: one for one in wanted.shape.pools}
        if self.haproxy.shape != wanted.shape or not self.haproxy.alive():
            self._restart(wanted.shape)
        self._look()
        for name in [*self.servers]:
            if name not in self.pools:
                del self.servers[name]
        for name, pool in self.pools.items():
            there = self.servers.setdefault(name, {})
            want = wanted.servers.get(name, {})
            for instance, (address, port) in want.items():
                self._want(pool, there, instance, address, port, now)
            for instance in [*there]:
                if instance not in want:
                    self._leave(name, there, instance, wanted.drain[name], slow_drain, now)

    def _restart(self, shape: Shape) -> None:
        if self.haproxy.alive():
            self._look()
        healthy: dict[str, list[Server]] = {}
        for name, there in self.servers.items():
            for instance, server in [*there.items()]:
                if name not in self.pools or server.left_with is not None:
                    del there[instance]
                elif server.drain_from is None and server.seen.get("status", "").startswith("UP"):
                    healthy.setdefault(name, []).append(Server(instance, server.address, server.port))
        before = self.haproxy.configure(shape, healthy)
        self._frontend_5xx = 0
        for name, there in self.servers.items():
            known = {one.name for one in healthy.get(name, [])}
            for instance, server in there.items():
                server.seen = {"status": server.seen.get("status", "")}
                if server.drain_from is not None:
                    server.left_with = before
                elif instance not in known:
                    self.haproxy.add(self.pools[name], Server(instance, server.address, server.port))

    def _look(self) -> None:
        rows = self.haproxy.stats()
        for name, there in self.servers.items():
            count = self.counts.setdefault(name, Count())
            for instance, server in there.items():
                row = rows.get((name, instance))
                if row is None:
                    continue
                for kind in count.by_class:
                    gained = int(row[f"hrsp_{kind}"] or 0) - int(server.seen.get(f"hrsp_{kind}") or 0)
                    count.by_class[kind] += gained
                    count.requests += gained
                    self._backend_5xx += gained if kind == "5xx" else 0
                server.seen = row
        front = sum(int(row["hrsp_5xx"] or 0) for (_, what), row in rows.items() if what == "FRONTEND")
        self._sent_5xx += front - self._frontend_5xx
        self._frontend_5xx = front
        # A server's answer is counted a moment before the frontend has sent it on, so the difference may be behind but never ahead.
        self.own_5xx = max(self.own_5xx, self._sent_5xx - self._backend_5xx)

    def _want(self, pool: Pool, there: dict[str, _Server], instance: str, address: str, port: int, now: float) -> None:
        server = there.get(instance)
        if server and server.left_with is not None:
            del there[instance]
            server = None
        if server and server.leaving:
            # Registered again while it was being cut: it comes in anew, when HAProxy has let it go.
            if not self.haproxy.remove(pool.name, instance):
                return
            del there[instance]
            server = None
        if server and (server.address, server.port) != (address, port):
            if not self.haproxy.remove(pool.name, instance):
                return
            del there[instance]
            server = None
        if server is None:
            self.haproxy.add(pool, Server(instance, address, port))
            there[instance] = _Server(address, port, now)
        elif server.drain_from is not None:
            self.haproxy.ask(f"set server {pool.name}/{instance} state ready")
            server.drain_from = None

    def _leave(self, pool: str, there: dict[str, _Server], instance: str, how: Drain, slow: float, now: float) -> None:
        server = there[instance]
        seconds = max(how.seconds, slow)
        if server.drain_from is None:
            server.drain_from = now
            if seconds > 0:
                self.haproxy.ask(f"set server {pool}/{instance} state drain")
                return
        spent = now - server.drain_from
        if server.left_with is not None:
            if server.left_with.poll() is not None or spent >= seconds:
                del there[instance]
            return
        idle = int(server.seen.get("scur") or 0) == 0 and spent >= 2 * TICK
        if spent >= seconds or (idle and not how.whole and spent >= slow):
            server.leaving = True
            if self.haproxy.remove(pool, instance):
                del there[instance]

    def health(self, pool: str, instance: str) -> Health:
        server = self.servers.get(pool, {}).get(instance)
        if server is None:
            return Health("absent")
        check, code = server.seen.get("check_status", "").lstrip("* "), server.seen.get("check_code", "")
        if server.drain_from is not None:
            return Health("draining", check, code)
        status = server.seen.get("status", "")
        if status.startswith("UP"):
            return Health("up", check, code)
        rules = self.pools[pool].check
        failed = check not in ("", "INI") and not check.endswith("OK")
        tried_enough = time.monotonic() - server.since > rules.fall * rules.interval
        return Health("down" if failed and tried_enough else "waiting", check, code)


class Balancers:
    """Follows its sources, which are called with a turn in moto."""

    def __init__(self, folder: Path, knobs: Knobs, instant: bool) -> None:
        self.folder = folder
        self.knobs = knobs
        self.instant = instant
        self.sources: list[Callable[[], Iterable[Wanted]]] = []
        self.after: list[Callable[[], None]] = []
        self.broken: dict[str, str] = {}
        self._all: dict[str, _Balancer] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._over = False
        self._thread: threading.Thread | None = None
        self._made = 0

    def wake(self) -> None:
        """Something changed; the loop starts with the first load balancer and costs nothing before."""
        if self.instant or self._over:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="balancers", daemon=True)
            self._thread.start()
        self._wake.set()

    def wake_if_any(self) -> None:
        if self._thread is not None:
            self._wake.set()

    def _loop(self) -> None:
        while not self._over:
            self._wake.wait(TICK if self._all else None)
            self._wake.clear()
            try:
                self.sync()
                for one in self.after:
                    one()
            except Exception:
                traceback.print_exc()
                time.sleep(TICK)

    @aside
    def sync(self) -> None:
        """Make it so, now; returns when every HAProxy has the shape that the API has."""
        if self.instant:
            return
        with self._lock:
            if self._over:
                return
            with in_moto():
                wanted = {one.key: one for source in self.sources for one in source()}
            for key in [*self._all]:
                if key not in wanted:
                    self._all.pop(key).haproxy.close()
            for key, one in wanted.items():
                if key not in self._all:
                    self._made += 1
                    self._all[key] = _Balancer(Haproxy(self.folder, f"lb{self._made}"))
                try:
                    self._all[key].apply(one, self.knobs.slow_drain)
                    self.broken.pop(key, None)
                except (HaproxyError, OSError) as error:
                    if self.broken.get(key) != str(error):
                        traceback.print_exc(limit=-1)
                    self.broken[key] = str(error)

    def health(self, key: str, pool: str, instance: str) -> Health:
        balancer = self._all.get(key)
        return balancer.health(pool, instance) if balancer else Health("absent")

    def holds(self, instance: str) -> bool:
        """Whether a load balancer still has this instance, draining or not."""
        return any(instance in there for one in [*self._all.values()] for there in [*one.servers.values()])

    def draining(self, key: str, pool: str) -> list[str]:
        balancer = self._all.get(key)
        servers = balancer.servers.get(pool, {}) if balancer else {}
        return [instance for instance, one in [*servers.items()] if one.drain_from is not None]

    def counts(self, key: str) -> tuple[dict[str, Count], int]:
        """By pool what the servers answered; and how often the load balancer itself answered 5xx."""
        balancer = self._all.get(key)
        return (dict(balancer.counts), balancer.own_5xx) if balancer else ({}, 0)

    def keys(self) -> list[str]:
        return [*self._all]

    def phases(self, key: str, pool: str) -> list[str]:
        balancer = self._all.get(key)
        return [balancer.health(pool, one).phase for one in [*balancer.servers.get(pool, {})]] if balancer else []

    def public(self) -> list[dict[str, object]]:
        """For the control endpoint."""
        return [
            {
                "load_balancer": key,
                "address": one.haproxy.shape.address if one.haproxy.shape else None,
                "ports": [listener.port for listener in one.haproxy.shape.listeners] if one.haproxy.shape else [],
                "problem": self.broken.get(key),
                "own_5xx": one.own_5xx,
                "pools": {
                    pool: {
                        "requests": one.counts[pool].requests if pool in one.counts else 0,
                        "servers": {
                            instance: {**vars(one.health(pool, instance)), "busy": int(server.seen.get("scur") or 0)}
                            for instance, server in [*there.items()]
                        },
                    }
                    for pool, there in [*one.servers.items()]
                },
            }
            for key, one in [*self._all.items()]
        ]

    def close(self) -> None:
        self._over = True
        self._wake.set()
        with self._lock:
            for one in self._all.values():
                one.haproxy.close()
            self._all.clear()
