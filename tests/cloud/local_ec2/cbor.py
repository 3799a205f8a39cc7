# Owns: CBOR as AWS's newer SDKs speak it to CloudWatch (Smithy RPC v2), translated to the JSON that moto understands, and back.
# Must not: know an operation. Invariant: a request in any other protocol passes as it is.
"""Smithy's RPC v2 over CBOR in front of moto."""

from __future__ import annotations

import io
import json
import re
import struct
from datetime import datetime, timezone
from typing import Any, Callable

PATH = re.compile(r"/service/(?P<target>[^/]+)/operation/(?P<action>[^/]+)$")
TIMESTAMP = 1
BREAK = object()


class Cbor:
    """A WSGI application around another."""

    def __init__(self, inner: Callable[..., Any]) -> None:
        self.inner = inner

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        path = PATH.search(environ.get("PATH_INFO", ""))
        if path is None or environ.get("HTTP_SMITHY_PROTOCOL") != "rpc-v2-cbor":
            return self.inner(environ, start_response)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        asked = load(environ["wsgi.input"].read(length)) if length else {}
        body = json.dumps(asked).encode()
        environ = {
            **environ, "PATH_INFO": "/", "RAW_URI": "/", "REQUEST_URI": "/", "CONTENT_TYPE": "application/x-amz-json-1.0",
            "CONTENT_LENGTH": str(len(body)), "HTTP_X_AMZ_TARGET": f"{path['target']}.{path['action']}",
            "HTTP_ACCEPT": "application/json", "wsgi.input": io.BytesIO(body),
        }  # fmt: skip
        said: dict[str, Any] = {}

        def keep(status: str, headers: list[tuple[str, str]], _exc: Any = None) -> Callable[[bytes], None]:
            said.update(status=status, headers=headers)
            return lambda _data: None

        encoded = dump(json.loads(b"".join(self.inner(environ, keep)) or b"{}"))
        headers = [(name, value) for name, value in said["headers"] if name.lower() not in ("content-type", "content-length")]
        headers += [("Content-Type", "application/cbor"), ("Content-Length", str(len(encoded))), ("smithy-protocol", "rpc-v2-cbor")]
        start_response(said["status"], headers)
        return [encoded]


def load(data: bytes) -> Any:
    """What one item says; a moment becomes the text that JSON has for it."""
    return _item(io.BytesIO(data))


def _item(data: io.BytesIO) -> Any:
    first = data.read(1)[0]
    major, low = first >> 5, first & 31
    if major == 7:
        return _simple(data, low)
    count = None if low == 31 else low if low < 24 else int.from_bytes(data.read(1 << (low - 24)), "big")
    match major:
        case 0:
            return count
        case 1:
            return -1 - (count or 0)
        case 2 | 3 if count is None:
            return "".join(_until_break(data))
        case 2 | 3:
            return data.read(count).decode()
        case 4:
            return list(_until_break(data)) if count is None else [_item(data) for _ in range(count)]
        case 5:
            items = list(_until_break(data)) if count is None else [_item(data) for _ in range(2 * count)]
            return dict(zip(items[::2], items[1::2]))
        case _:
            inner = _item(data)
            return datetime.fromtimestamp(inner, timezone.utc).isoformat() if count == TIMESTAMP else inner


def _until_break(data: io.BytesIO) -> Any:
    while (item := _item(data)) is not BREAK:
        yield item


def _simple(data: io.BytesIO, low: int) -> Any:
    floats = {25: (">e", 2), 26: (">f", 4), 27: (">d", 8)}
    if low in floats:
        form, size = floats[low]
        return struct.unpack(form, data.read(size))[0]
    return {20: False, 21: True, 31: BREAK}.get(low)


def _head(major: int, count: int) -> bytes:
    if count < 24:
        return bytes([major << 5 | count])
    for power in range(4):
        if count < 1 << (8 << power):
            return bytes([major << 5 | 24 + power]) + count.to_bytes(1 << power, "big")
    raise ValueError(f"{count} is too large")


def dump(value: Any, name: str = "") -> bytes:
    """JSON as CBOR. Numbers below a name that says so are moments."""
    match value:
        case None:
            return b"\xf6"
        case bool():
            return b"\xf5" if value else b"\xf4"
        case int() | float() if name.startswith("Timestamp") or name.endswith(("Time", "Timestamp")):
            return _head(6, TIMESTAMP) + b"\xfb" + struct.pack(">d", value)
        case int() if value >= 0 and name != "Values":
            return _head(0, value)
        case int() | float():
            return b"\xfb" + struct.pack(">d", value)
        case str():
            return _head(3, len(value.encode())) + value.encode()
        case list():
            return _head(4, len(value)) + b"".join(dump(item, name) for item in value)
        case dict():
            return _head(5, len(value)) + b"".join(dump(key) + dump(item, key) for key, item in value.items())
    raise TypeError(type(value).__name__)
