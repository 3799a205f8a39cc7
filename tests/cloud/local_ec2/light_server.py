# Owns: what runs in an instance of a light AMI: an HTTP server that says who it is, and misbehaves on request.
# Must not: import anything but the standard library; it runs in the container, mounted.
# Invariant: how it behaves is read from SEED/light.json at each request, and nothing else is remembered.
"""`python3 light_server.py`: GET / who am I; GET /health; GET /sleep/SECONDS answers that much later."""

import asyncio
import json
import os
import re
import ssl
import sys
import time
from pathlib import Path

SEED = Path(os.environ.get("LIGHT_SEED", "/var/lib/cloud/seed/nocloud"))
BORN = time.monotonic()
# `colour=green`, `export COLOR="green"` and `colour: green`, alone on a line.
COLOUR = re.compile(rb"""^\W*(?:export\s+)?[\w.-]*colou?r["']?\s*[=:]\s*["']?([\w-]+)""", re.IGNORECASE | re.MULTILINE)


def who() -> dict[str, str]:
    me = json.loads((SEED / "light-who.json").read_text())
    found = COLOUR.search((SEED / "user-data").read_bytes())
    return {**me, "colour": found.group(1).decode() if found else ""}


def behaviour() -> dict[str, object]:
    try:
        return json.loads((SEED / "light.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def healthy(how: dict[str, object]) -> bool:
    mode, age = how.get("mode"), time.monotonic() - BORN
    period = float(how.get("seconds") or 2)
    if mode == "flap":
        return int(age / period) % 2 == 0
    return mode != "unhealthy"


def answer(path: str, how: dict[str, object]) -> tuple[int, str]:
    if how.get("mode") == "500":
        return 500, "this colour is broken"
    if path.split("?")[0] == "/health":
        return (200, "ok") if healthy(how) else (503, "not healthy")
    if how.get("mode") == "broken":
        return 500, "this colour is broken, and does not know it"
    return 200, json.dumps({**ME, "path": path})


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            length = 0
            while (header := await reader.readline()) not in (b"\r\n", b"\n", b""):
                if header.lower().startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            if length:
                await reader.readexactly(length)
            path = (line.split() + [b"/", b"/"])[1].decode("latin-1")
            how = behaviour()
            if how.get("mode") == "hang":
                await asyncio.sleep(3600)
            if how.get("mode") == "slow":
                await asyncio.sleep(float(how.get("seconds") or 1))
            if found := re.match(r"/sleep/([\d.]+)", path):
                await asyncio.sleep(float(found.group(1)))
            status, text = answer(path, how)
            body = text.encode() + b"\n"
            writer.write(f"HTTP/1.1 {status} Light\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError, ValueError):
        pass
    finally:
        writer.close()


async def keep(port: int, tls: ssl.SSLContext | None) -> None:
    """Listens on one port for as long as the behaviour says so."""
    server = None
    while True:
        how = behaviour()
        mode = how.get("mode")
        if mode == "die" and time.monotonic() - BORN > float(how.get("seconds") or 0):
            os._exit(1)
        silent = mode == "refuse" or (tls is not None and mode == "refuse_tls")
        if silent and server is not None:
            server.close()
            server = None
        if not silent and server is None:
            server = await asyncio.start_server(serve, "0.0.0.0", port, ssl=tls, backlog=1024, reuse_address=True)
        await asyncio.sleep(0.2)


async def main() -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(SEED / "light.pem")
    ports = [int(one) for one in sys.argv[1:]] or [80, 443]
    await asyncio.gather(keep(ports[0], None), keep(ports[1], tls))


if __name__ == "__main__":
    ME = who()
    asyncio.run(main())
