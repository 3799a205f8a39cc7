# Owns: one HAProxy: its configuration file, its process, its admin socket.
# Must not: know moto, AWS or what a target is for; it is told a shape and server lines.
# Invariant: the process works in the server's folder (the reaper finds it by that), and a changed shape never closes a listening port.
"""A load balancer's process."""

from __future__ import annotations

import csv
import os
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path


SHORTEST_TIMEOUT = 4.0
"""A check may take this long whatever the clock says: on a busy machine a healthy instance does not answer within a fifth of a second."""


class HaproxyError(RuntimeError):
    """HAProxy did not start or refused a command; the message is what it said."""


@dataclass(frozen=True)
class Check:
    """A health check, its times in seconds of this machine."""

    protocol: str  # HTTP, HTTPS, TCP or SSL
    port: int | None  # None: where the traffic goes
    path: str
    codes: str  # HAProxy's list, as 200 or 200-399,404
    interval: float
    timeout: float
    rise: int
    fall: int


@dataclass(frozen=True)
class Pool:
    """Servers behind one name, and how they are spoken to and checked."""

    name: str
    mode: str  # http or tcp
    tls: bool
    check: Check


@dataclass(frozen=True)
class Route:
    """Where requests go that fulfil `conditions` (HAProxy's words; none: all) and those of no route before. Pools share by weight."""

    pools: tuple[tuple[str, int], ...]
    conditions: tuple[str, ...] = ()
    answer: str = ""  # in place of pools: a `http-request` action


@dataclass(frozen=True)
class Listener:
    port: int
    mode: str
    routes: tuple[Route, ...]
    certificate: str = ""  # file with certificate and key: the listener speaks TLS


@dataclass(frozen=True)
class Shape:
    """All that is in the configuration file. Servers are not: they come and go on the admin socket."""

    address: str
    idle: float
    listeners: tuple[Listener, ...]
    pools: tuple[Pool, ...]


def _listener(address: str, one: Listener) -> list[str]:
    tls = f" ssl crt {one.certificate}" if one.certificate else ""
    lines = [f"frontend l{one.port}", f"  mode {one.mode}", f"  bind {address}:{one.port}{tls}"]
    lines.append("  option httplog" if one.mode == "http" else "  option tcplog")
    if one.mode == "http":
        lines += ["  option forwardfor", f"  http-request set-header X-Forwarded-Port {one.port}", f"  http-request set-header X-Forwarded-Proto {'https' if one.certificate else 'http'}"]
    # The first rule that fits is noted, because HAProxy carries out all `http-request` lines before any `use_backend`.
    numbered = len(one.routes) > 1
    actions, backends = [], []
    for number, route in enumerate(one.routes):
        names = [f"r{number}_{part}" for part in range(len(route.conditions))]
        lines += [f"  acl {name} {condition}" for name, condition in zip(names, route.conditions, strict=True)]
        when = ""
        if numbered:
            when = f"{{ var(txn.rule) -m int {number} }}"
            lines.append(f"  http-request set-var(txn.rule) int({number}) if {' '.join([*names, '!{ var(txn.rule) -m found }'])}")
        if route.answer:
            actions.append(f"  http-request {route.answer}" + (f" if {when}" if when else ""))
            continue
        left = sum(weight for _, weight in route.pools)
        for pool, weight in route.pools:
            if weight:
                # Each line throws its own dice, so a share is one of what the lines above have left.
                share = f"{{ rand({left}) lt {weight} }}" if weight < left else ""
                test = " ".join(filter(None, [when, share]))
                backends.append(f"  use_backend {pool}" + (f" if {test}" if test else ""))
            left -= weight
    return lines + actions + backends


@dataclass(frozen=True)
class Server:
    """One that is in a pool."""

    name: str
    address: str
    port: int

    def words(self, pool: Pool) -> str:
        check = pool.check
        words = [
            f"{self.address}:{self.port} check inter {max(1, round(check.interval * 1000))}ms rise {check.rise} fall {check.fall}",
            f"port {check.port or self.port}",
            "check-ssl verify none" if check.protocol in ("HTTPS", "SSL") else "",
            "ssl verify none" if pool.tls else "",
        ]
        return " ".join(filter(None, words))


def _pool(one: Pool, servers: list[Server]) -> list[str]:
    lines = [f"backend {one.name}", f"  mode {one.mode}", "  balance roundrobin", f"  timeout check {round(max(SHORTEST_TIMEOUT, one.check.timeout) * 1000)}ms"]
    if one.check.protocol in ("HTTP", "HTTPS"):
        lines += [
            "  option httpchk",
            f"  http-check send meth GET uri {one.check.path} ver HTTP/1.1 hdr Host load-balancer hdr User-Agent ELB-HealthChecker/2.0 hdr Connection close",
            f"  http-check expect status {one.check.codes}",
        ]
    return lines + [f"  server {server.name} {server.words(one)}" for server in servers]


def configuration(shape: Shape, socket_name: str, healthy: dict[str, list[Server]]) -> str:
    """`healthy`: servers by pool that get requests from the first moment, as they did until now."""
    idle = max(1, round(shape.idle * 1000))
    lines = [
        # No retry and no second server: a request that meets a dead instance fails, as a client of the real one would see it.
        "global", f"  stats socket unix@{socket_name} mode 600 level admin", "  maxconn 2000", "  nbthread 1", "  hard-stop-after 60s",
        "  ssl-server-verify none", "  log stdout format raw local0 info",
        "defaults", "  retries 0", "  timeout connect 5s", f"  timeout client {idle}ms", f"  timeout server {idle}ms",
        f"  timeout http-keep-alive {idle}ms", "  option http-server-close",
        # A process that hands over to another ends a kept-alive connection with an answer, never between two.
        "  option idle-close-on-response",
        # Only what went wrong, into the log beside the configuration.
        "  log global", "  option dontlognull", "  option dontlog-normal",
    ]  # fmt: skip
    for listener in shape.listeners:
        lines += _listener(shape.address, listener)
    for pool in shape.pools:
        lines += _pool(pool, healthy.get(pool.name, []))
    return "\n".join(lines) + "\n"


class Haproxy:
    """The process for one load balancer; `name` is a file name."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.shape: Shape | None = None
        self._generation = 0
        self._process: subprocess.Popen[bytes] | None = None

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def configure(self, shape: Shape, healthy: dict[str, list[Server]]) -> subprocess.Popen[bytes] | None:
        """Run with this shape. A process that is there already hands over: both listen until the new one does. Gives that one
        back, which ends with its last connection."""
        # Debian keeps it where a plain user's PATH does not look.
        program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise HaproxyError("no `haproxy` on PATH; `make tools` installs it")
        before = self._process if self.alive() else None
        self._generation += 1
        name = f"{self.name}.{self._generation}"
        (self.folder / f"{name}.cfg").write_text(configuration(shape, f"{name}.sock", healthy))
        finish = ["-sf", str(before.pid)] if before else []
        with open(self.folder / f"{name}.log", "wb") as log:
            # In its folder with relative names: a socket's path may not be longer than 107 bytes.
            process = subprocess.Popen(
                [program, "-db", "-f", f"{name}.cfg", *finish],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 20
        while True:
            try:
                self._ask(name, "show version")
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    process.kill()
                    process.wait()
                    said = (self.folder / f"{name}.log").read_text(errors="replace").strip().splitlines()
                    raise HaproxyError("haproxy: " + "; ".join(said[-4:])) from None
                time.sleep(0.01)
        self._process, self.shape = process, shape
        if before is not None:
            # Nobody waits for it to end, but somebody has to reap it.
            threading.Thread(target=before.wait, daemon=True).start()
        return before

    def _ask(self, name: str, command: str) -> str:
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
                link.settimeout(10)
                link.connect(f"/proc/self/fd/{folder}/{name}.sock")
                link.sendall(command.encode() + b"\n")
                parts = []
                while part := link.recv(65536):
                    parts.append(part)
        finally:
            os.close(folder)
        return b"".join(parts).decode(errors="replace")

    def ask(self, *commands: str) -> str:
        """Commands on the admin socket, carried out one after the other; what was said to them."""
        return self._ask(f"{self.name}.{self._generation}", "; ".join(commands)).strip()

    def stats(self) -> dict[tuple[str, str], dict[str, str]]:
        """HAProxy's own table, by (frontend or backend, server or FRONTEND or BACKEND)."""
        text = self.ask("show stat").removeprefix("# ")
        return {(row["pxname"], row["svname"]): row for row in csv.DictReader(text.splitlines())}

    def add(self, pool: Pool, server: Server) -> None:
        """Put a server in. It gets nothing before its checks have passed: HAProxy would take it as healthy until the first one
        fails, so it enters drained, is called down, and only then is opened."""
        where = f"{pool.name}/{server.name}"
        said = self.ask(f"add server {where} {server.words(pool)}")
        if "registered" not in said:
            raise HaproxyError(f"haproxy: add server {where}: {said}")
        self.ask(
            f"set server {where} state drain", f"set server {where} health down",
            f"enable health {where}", f"set server {where} state ready",
        )  # fmt: skip

    def remove(self, pool: str, server: str) -> bool:
        """Take a server out and cut what it still serves; false while HAProxy is not done with it."""
        where = f"{pool}/{server}"
        said = self.ask(f"set server {where} state maint", f"shutdown sessions server {where}", f"del server {where}")
        return "deleted" in said.lower() or "no such server" in said.lower()

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None
