# Owns: what stands between the socket and moto: the record of all calls, and the knobs that hit a call before or after moto sees it.
# Must not: change what moto answers when no knob hits; know what an action does.
# Invariant: every call is recorded once, with the answer that the caller got, not the one that moto gave.
"""The WSGI application in front of moto."""

from __future__ import annotations

import io
import json
import re
import socket
import threading
import time
import traceback
import uuid
from collections import deque
from typing import Any, Callable
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from .knobs import Knobs
from .turns import in_moto

KEPT = 20_000
"""Calls remembered; a run of the whole test suite makes about a tenth of that."""


def agent_of(user_agent: str) -> str:
    """Who calls. Packer's plugin names Packer; ovenbird is the only Rust SDK user here."""
    low = user_agent.lower()
    if "packer" in low:
        return "packer"
    if "terraform" in low:
        return "terraform"
    if "ovenbird" in low or "aws-sdk-rust" in low:
        return "ovenbird"
    return "other"


def refusal(environ: dict[str, Any], service: str, code: str, message: str) -> tuple[str, bytes]:
    """Content type and body of an error, in the words of the protocol that was spoken: an SDK finds its code in no other."""
    if "HTTP_X_AMZ_TARGET" in environ:
        return "application/x-amz-json-1.1", json.dumps({"__type": code, "message": message}).encode()
    error = f"<Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    if service == "ec2":
        text = f"<Response><Errors><Error>{error}</Errors><RequestID>{uuid.uuid4()}</RequestID></Response>"
    else:
        text = f"<ErrorResponse><Error><Type>Sender</Type>{error}<RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    return "text/xml", f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()


class Calls:
    """The record of calls."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self._calls: deque[dict[str, Any]] = deque(maxlen=KEPT)

    def add(self, call: dict[str, Any]) -> None:
        with self._lock:
            self._calls.append(call)

    def public(self) -> dict[str, Any]:
        with self._lock:
            calls = list(self._calls)
        counts: dict[str, dict[str, int]] = {}
        for call in calls:
            by_action = counts.setdefault(call["agent"], {})
            by_action[call["action"]] = by_action.get(call["action"], 0) + 1
        return {"total": len(calls), "by_agent": counts, "calls": calls}


class Front:
    """`/_local/…` goes to the control endpoint, everything else to moto."""

    def __init__(self, moto: Any, control: Any, knobs: Knobs, calls: Calls, answered: Callable[[str, str], None]) -> None:
        self.moto = moto
        self.control = control
        self.knobs = knobs
        self.calls = calls
        self.answered = answered  # told service and action when moto has answered

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ.get("PATH_INFO", "").startswith("/_local/"):
            return self._local(environ, start_response)
        began = time.monotonic()
        service, region, action = identify(environ)
        user_agent = environ.get("HTTP_USER_AGENT", "")
        agent = agent_of(user_agent)
        call = {
            "time": round(time.time(), 3), "agent": agent, "service": service, "region": region, "action": action,
            "status": 0, "code": None, "knob": None, "user_agent": user_agent,
        }  # fmt: skip
        try:
            return self._answer(call, environ, start_response)
        finally:
            call["ms"] = round((time.monotonic() - began) * 1000, 1)
            self.calls.add(call)

    def _answer(self, call: dict[str, Any], environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        action, agent = call["action"], call["agent"]
        if wait := self.knobs.latency(action, agent):
            time.sleep(wait)
        for kind, status, code, message in (
            ("throttle", 503, "RequestLimitExceeded", "Request limit exceeded."),
            ("deny", 403, "UnauthorizedOperation", "You are not authorized to perform this operation."),
        ):
            if self.knobs.hit(kind, action, agent):
                return self._refuse(environ, call, kind, status, code, message, start_response)
        if rule := self.knobs.hit("error", action, agent):
            return self._refuse(environ, call, "error", rule.status, rule.code, rule.message or rule.code, start_response)

        answer: dict[str, Any] = {}

        def record(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
            answer.update(status=status, headers=headers)
            return lambda _data: None

        try:
            with in_moto():
                chunks = self.moto(environ, record)
                body = b"".join(chunks)
        except Exception as error:
            # moto has not everything, and a bug of ours is no better. A 500 would be retried for a minute and then
            # be called a serialization error; this is refused at once, and says what it is.
            if not isinstance(error, NotImplementedError):
                traceback.print_exc(limit=-3)
            text = f"the local EC2 cannot do this: {type(error).__name__}: {error}"
            return self._refuse(environ, call, None, 400, "UnsupportedOperation", text, start_response)
        if hasattr(chunks, "close"):
            chunks.close()
        self.answered(call["service"], action)
        call["status"] = int(answer["status"].split()[0])
        if call["status"] >= 400 and (found := re.search(rb"<Code>([^<]+)</Code>", body)):
            call["code"] = found.group(1).decode()

        if rule := self.knobs.hit("lose_reply", action, agent):
            call["knob"] = "lose_reply"
            if rule.how == "500":
                return self._refuse(environ, call, "lose_reply", 500, "InternalError", "An internal error has occurred", start_response)
            call["status"], call["code"] = 0, None
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError("reply lost on request")
        start_response(answer["status"], answer["headers"])
        return [body]

    @staticmethod
    def _refuse(
        environ: dict[str, Any], call: dict[str, Any], knob: str | None, status: int, code: str, message: str, start_response: Callable[..., Any]
    ) -> Any:
        call.update(knob=knob, status=status, code=code)
        kind, body = refusal(environ, call["service"], code, message)
        start_response(f"{status} Refused", [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]

    def _local(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        status, result = self.control.handle(environ["REQUEST_METHOD"], environ["PATH_INFO"], body)
        text = (json.dumps(result, indent=1, default=str) + "\n").encode()
        start_response(
            f"{status} {'OK' if status == 200 else 'Error'}",
            [("Content-Type", "application/json"), ("Content-Length", str(len(text)))],
        )
        return [text]


def identify(environ: dict[str, Any]) -> tuple[str, str, str]:
    """Service, region and action of a signed call. The body of an upload is left unread."""
    service, region = "", ""
    if scope := re.search(r"Credential=([^,\s]+)", environ.get("HTTP_AUTHORIZATION", "")):
        parts = scope.group(1).split("/")
        if len(parts) == 5:
            region, service = parts[2], parts[3]
    if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        if action := parse_qs(body.decode("utf-8", "replace")).get("Action"):
            return service, region, action[0]
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        return service, region, target.rsplit(".", 1)[-1]
    return service, region, f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '')}"
