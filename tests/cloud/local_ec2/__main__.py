# Owns: the command line: up, run, down, env; signals; what is printed.
# Must not: hold logic that a test would want to reach without a process.
# Invariant: stdout carries only what the command promises: one JSON line, shell lines, or what COMMAND prints.
"""`local-ec2 up | run | down | env`."""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from . import DEFAULT_REGION

PR_SET_PDEATHSIG = 1
DROPPED = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_EC2")


def environment(about: dict[str, Any], region: str) -> dict[str, str]:
    """What makes SDK, AWS CLI, Terraform and ovenbird talk to this server and to nothing else."""
    return {
        "AWS_ENDPOINT_URL": about["endpoint"],
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        # A developer's own profile must not be able to send a test to the real account.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "OVENBIRD_LOCAL_EC2": about["control"],
    }


def fail(message: str) -> int:
    print(f"local-ec2: {message}", file=sys.stderr)
    return 69


def start(args: argparse.Namespace, folder: Path | None) -> Any:
    from .boxes import DockerError
    from .server import CannotStart, Server

    try:
        return Server(args.port, folder, args.instant)
    except (CannotStart, DockerError, OSError) as error:
        sys.exit(fail(str(error)))


def up(args: argparse.Namespace) -> int:
    if args.background:
        return up_in_background(args)
    over = threading.Event()
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, lambda *_: over.set())
    folder = Path(args.state).resolve() if args.state else None
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    server = start(args, folder)
    try:
        record = folder / "server.json" if folder else None
        if record:
            record.with_suffix(".tmp").write_text(json.dumps(server.about) + "\n")
            record.with_suffix(".tmp").replace(record)
        print(json.dumps(server.about), flush=True)
        over.wait()
        if record:
            record.unlink(missing_ok=True)
    finally:
        server.close()
    return 0


def read_record(state: str) -> dict[str, Any] | None:
    try:
        return json.loads((Path(state) / "server.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def alive(pid: int) -> bool:
    try:
        # A zombie of our own parent still answers kill(pid, 0).
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def up_in_background(args: argparse.Namespace) -> int:
    if not args.state:
        return fail("--background wants --state DIR")
    folder = Path(args.state).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    known = read_record(args.state)
    if known and alive(known["pid"]):
        print(json.dumps(known))
        return 0
    (folder / "server.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "local_ec2", "up", "--state", str(folder), "--port", str(args.port)]
    with open(folder / "server.log", "wb") as log:
        child = subprocess.Popen(
            command + (["--instant"] if args.instant else []),
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    while (known := read_record(args.state)) is None:
        if child.poll() is not None:
            sys.stderr.write((folder / "server.log").read_text())
            return child.returncode or 69
        time.sleep(0.05)
    print(json.dumps(known))
    return 0


def down(args: argparse.Namespace) -> int:
    known = read_record(args.state)
    if known is None or not alive(known["pid"]):
        return 0
    os.kill(known["pid"], signal.SIGTERM)
    deadline = time.monotonic() + 60
    while alive(known["pid"]):
        if time.monotonic() > deadline:
            return fail(f"pid {known['pid']} is still there after 60 s")
        time.sleep(0.05)
    return 0


def env(args: argparse.Namespace) -> int:
    known = read_record(args.state)
    if known is None or not alive(known["pid"]):
        return fail(f"no local EC2 runs with --state {args.state}")
    for name, value in environment(known, args.region).items():
        print(f"export {name}={shlex.quote(value)}")
    print(f"unset {' '.join(DROPPED)}")
    return 0


def run(args: argparse.Namespace) -> int:
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        return fail("run wants a command: local-ec2 run -- COMMAND…")
    child: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, _frame: Any) -> None:
        # A Ctrl-C reaches the command by itself: it is in the same foreground group.
        if child is not None and number != signal.SIGINT:
            child.send_signal(number)
        elif child is None:
            sys.exit(128 + number)

    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, pass_on)
    server = start(args, None)
    libc = ctypes.CDLL(None)
    try:
        try:
            child = subprocess.Popen(
                command,
                env={k: v for k, v in os.environ.items() if k not in DROPPED} | environment(server.about, args.region),
                preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM),
            )
        except OSError as error:
            return fail(f"{command[0]}: {error.strerror}")
        code = child.wait()
        return 128 - code if code < 0 else code
    finally:
        server.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="local-ec2", description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)

    def starts(name: str, text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text)
        one.add_argument("--port", type=int, default=0, help="default: a free one")
        one.add_argument("--instant", action="store_true", help="instances are not containers; nothing needs Docker")
        return one

    one = starts("up", "start; prints one JSON line when ready")
    one.add_argument("--state", metavar="DIR", help="where server.json and seeds are kept; default: a temporary folder")
    one.add_argument("--background", action="store_true")
    one.set_defaults(act=up)
    one = starts("run", "start, run COMMAND against it, end it; exit code is COMMAND's")
    one.add_argument("--region", default=DEFAULT_REGION)
    one.add_argument("command", nargs=argparse.REMAINDER)
    one.set_defaults(act=run)
    one = commands.add_parser("down", help="end the one in DIR; returns when all that it made is gone")
    one.add_argument("--state", metavar="DIR", required=True)
    one.set_defaults(act=down)
    one = commands.add_parser("env", help="shell lines that point the tools at the one in DIR")
    one.add_argument("--state", metavar="DIR", required=True)
    one.add_argument("--region", default=DEFAULT_REGION)
    one.set_defaults(act=env)
    args = parser.parse_args()
    return args.act(args)


if __name__ == "__main__":
    sys.exit(main())
