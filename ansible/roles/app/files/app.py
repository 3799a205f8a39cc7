#!/usr/bin/python3
# Owns: the example's service: its release, its health and its configuration as JSON. Keeps no state, needs no package.
# Must not: show a secret, write a file, or end while a request is in flight.
# Invariant: the listening socket is systemd's (app.socket), so a restart lets requests wait and refuses none.
"""A small HTTP service.

    app.py           serve on the socket that systemd hands over, or on --listen
    app.py --check   can this release start? What a deploy asks before it switches to it
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import socket
import sys
import threading
import tomllib
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SECRET = re.compile(r"password|passwd|secret|token|credential|private|(^|_)key$", re.IGNORECASE)
LEVELS = ("debug", "info", "warning", "error")
# cloud-init's name for the instance; on EC2 its id.
INSTANCE_ID = ("/run/cloud-init/.instance-id", "/var/lib/cloud/data/instance-id")


def masked(value, name=""):
    """A configuration that may be shown: of a secret only whether it is there."""
    if isinstance(value, dict):
        return {key: masked(one, key) for key, one in value.items()}
    if SECRET.search(name):
        return "set" if value not in ("", None, []) else "not set"
    if isinstance(value, list):
        return [masked(one, name) for one in value]
    return value


def lines(path):
    """Lines of a file that may not be there, without empty ones."""
    try:
        return [line.strip() for line in Path(path).read_text(encoding="utf-8").split("\n") if line.strip()]
    except (OSError, UnicodeDecodeError):
        return []


def first_line(*paths):
    return next((line for path in paths for line in lines(path)), None)


class Service:
    """What this process answers. Everything but its health is read once: a new configuration comes with a restart."""

    def __init__(self, asked):
        self.missing = Path(asked.missing)
        self.marker = Path(asked.run) / "configured"
        self.failed = Path(asked.run) / "failed"
        self.release = first_line(Path(__file__).resolve().with_name("RELEASE")) or "unknown"
        self.environment = self._environment(asked.environment)
        self.instance = first_line(*INSTANCE_ID) or socket.gethostname()
        self._read(Path(asked.config))

    @staticmethod
    def _environment(path):
        line = first_line(path) or ""
        name, _, value = line.partition("=")
        return value if name == "ENVIRONMENT" and value else None

    def _read(self, path):
        self.config, self.written, self.problem = {}, None, None
        try:
            # One opening for both: consul-template may put another file in its place meanwhile.
            with path.open("rb") as file:
                self.written = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, timezone.utc).isoformat(timespec="seconds")
                self.config = tomllib.load(file)
        except OSError as error:
            self.problem = f"{path}: {error.strerror}"
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            # The parser's own words may quote the line, and the line may be the password's.
            self.problem = f"{path}: is not TOML"
        level = self.config.get("app", {}) if isinstance(self.config.get("app", {}), dict) else {}
        level = level.get("log_level", "info")
        self.level = LEVELS.index(level) if level in LEVELS else 1

    def front(self):
        config = {name: value for name, value in self.config.items() if name != "source"}
        answer = {
            "release": self.release,
            "environment": self.environment,
            "instance": self.instance,
            "config": masked(config),
            "config_source": self.config.get("source") or "default",
            "config_written": self.written,
        }
        if self.problem:
            answer["config_problem"] = self.problem
        missing = lines(self.missing)
        if missing:
            answer["config_missing"] = missing
        return 200, answer

    def health(self):
        if self.marker.exists():
            return 200, {"status": "ok", "release": self.release}
        failed = lines(self.failed)[:5]
        reason = "the environment could not be applied: " + "; ".join(failed) if failed else "no environment was applied: user data brought none"
        return 503, {"status": "not configured", "release": self.release, "reason": reason}


class Handler(BaseHTTPRequestHandler):
    """HTTP/1.0, a connection a request: no connection is idle when the process ends, so no request is lost on one."""

    # One who connects and says nothing must not hold up a restart.
    timeout = 5
    server_version = "app"
    sys_version = ""

    def do_GET(self):
        service = self.server.service
        path = self.path.partition("?")[0]
        if path == "/health":
            self._answer(*service.health())
        elif path == "/":
            self._answer(*service.front())
        else:
            self._answer(404, {"error": "not found"})

    do_HEAD = do_GET

    def _answer(self, status, body):
        body = json.dumps(body, sort_keys=True).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_request(self, code="-", size="-"):
        # Health checks come every few seconds from several sides.
        if self.server.service.level == 0 or (self.server.service.level == 1 and self.path != "/health"):
            super().log_request(code, size)


class Server(ThreadingHTTPServer):
    """Serves on a socket that is bound already; waits for its requests when it is closed."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, listener, service):
        super().__init__(listener.getsockname()[:2], Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.service = service

    def handle_error(self, request, client_address):
        # A visitor who went away in the middle is no fault of ours.
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def listening(listen):
    """systemd's socket, or one of our own."""
    if os.environ.get("LISTEN_PID") == str(os.getpid()) and int(os.environ.get("LISTEN_FDS", "0")) >= 1:
        return socket.socket(fileno=3)
    host, _, port = listen.rpartition(":")
    return socket.create_server((host, int(port)), backlog=1024)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="/etc/app/app.toml")
    parser.add_argument("--environment", default="/etc/app/instance.env")
    parser.add_argument("--missing", default="/etc/app/missing", help="keys that consul-template waits for")
    parser.add_argument("--run", default="/run/instance", help="where instance-configure says how it went")
    parser.add_argument("--listen", default="127.0.0.1:8080", help="when systemd hands over no socket")
    parser.add_argument("--check", action="store_true")
    asked = parser.parse_args(arguments)
    service = Service(asked)
    if asked.check:
        print(f"release {service.release} can start")
        return 0
    server = Server(listening(asked.listen), service)
    # In a thread of its own: shutdown waits for the loop that the signal interrupted.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"release {service.release}, configuration from {service.front()[1]['config_source']}" + (f" ({service.problem})" if service.problem else ""), file=sys.stderr)
    server.serve_forever(poll_interval=0.1)
    server.server_close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
