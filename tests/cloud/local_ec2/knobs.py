# Owns: what tests may turn: throttling, denials, lost replies, errors, latency, slow and failed images, instant instances,
# failing launches and deployments, instances that misbehave, the clock of waits.
# Must not: know moto, Docker or HTTP; it answers questions about a call and counts down, nothing else.
# Invariant: a rule with a count is used up exactly that many times, also under parallel calls.
"""Knobs: misbehaviour on request."""

from __future__ import annotations

import fnmatch
import threading
import time
from dataclasses import dataclass, field
from typing import Any

KINDS = ("throttle", "deny", "error", "lose_reply", "latency", "fail_image", "fail_launch", "fail_deployment")
SETTINGS = ("pending_polls", "instant", "clock", "slow_drain", "deploy_seconds", "behave")
MODES = ("ok", "unhealthy", "flap", "500", "broken", "hang", "slow", "refuse", "refuse_tls", "die")
"""What an instance of a light AMI can do; light_server.py does it."""

CLOCK = 10.0
"""Health checks, drains, grace periods and retries pass this much faster than on AWS, where the shortest take ten seconds."""


class KnobError(ValueError):
    """The knob asked for does not exist or has a value that it cannot have."""


@dataclass
class Rule:
    """One misbehaviour and the calls that it applies to."""

    kind: str
    action: str = "*"  # EC2 action, with * and ?
    agent: str = "*"  # ovenbird, packer or other: who is calling
    count: int | None = None  # None: until the knobs are reset
    after: int = 0  # matching calls that pass before the first one is hit
    # The fields below are read by one kind each.
    name: str = "*"  # fail_image: image names
    group: str = "*"  # fail_launch, fail_deployment: Auto Scaling group or deployment group
    instance: str = "*"  # fail_deployment
    how: str = "close"  # lose_reply: close | 500
    seconds: float = 0.0  # latency
    per_second: float | None = None  # throttle: a token bucket in place of a count
    burst: int = 1
    code: str = ""  # error
    message: str = ""
    status: int = 400
    hits: int = 0
    tokens: float = field(default=0.0, repr=False)
    filled: float = field(default=0.0, repr=False)

    @classmethod
    def parse(cls, kind: str, spec: Any) -> Rule:
        if not isinstance(spec, dict):
            raise KnobError(f"`{kind}` wants an object, got {spec!r}")
        known = {
            "throttle": {"per_second", "burst"},
            "lose_reply": {"how"},
            "latency": {"seconds"},
            "error": {"code", "message", "status"},
            "fail_image": {"name", "message"},
            "fail_launch": {"group", "code", "message"},
            "fail_deployment": {"group", "instance", "message"},
        }.get(kind, set()) | {"action", "agent", "count", "after"}
        if unknown := sorted(set(spec) - known):
            raise KnobError(f"`{kind}` has no `{unknown[0]}`; it has {', '.join(sorted(known))}")
        rule = cls(kind, **spec)
        if kind == "error" and not rule.code:
            raise KnobError("`error` wants a `code`")
        if rule.how not in ("close", "500"):
            raise KnobError(f"`how` is close or 500, got {rule.how!r}")
        rule.tokens = float(rule.burst)
        return rule

    def applies(self, action: str, agent: str) -> bool:
        return fnmatch.fnmatchcase(action, self.action) and fnmatch.fnmatchcase(agent, self.agent)

    def use(self, now: float) -> bool:
        """Count one matching call; true when this call is hit."""
        if self.after > 0:
            self.after -= 1
            return False
        if self.per_second is not None:
            self.tokens = min(float(self.burst), self.tokens + (now - (self.filled or now)) * self.per_second)
            self.filled = now
            if self.tokens >= 1:
                self.tokens -= 1
                return False
        elif self.count is not None:
            if self.count <= 0:
                return False
            self.count -= 1
        self.hits += 1
        return True

    def public(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k not in ("tokens", "filled")}


def _behaviour(spec: Any) -> dict[str, Any]:
    if not isinstance(spec, dict) or spec.get("mode") not in MODES:
        raise KnobError(f"`behave` wants an object with a `mode` of {', '.join(MODES)}, got {spec!r}")
    if unknown := sorted(set(spec) - {"mode", "seconds", "image", "instance", "group"}):
        raise KnobError(f"`behave` has no `{unknown[0]}`; it has mode, seconds, image, instance, group")
    return spec


class Knobs:
    """The settings of one server. Everything is off at the start."""

    def __init__(self, instant: bool = False) -> None:
        self._lock = threading.Lock()
        self._instant_at_start = instant
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self.rules: list[Rule] = []
            self.pending_polls = 0
            self.instant = self._instant_at_start
            self.clock = CLOCK
            self.slow_drain = 0.0
            self.deploy_seconds = 0.0
            self.behaviours: list[dict[str, Any]] = []

    def turn(self, spec: Any) -> None:
        """Apply `{"knob": value, …}`; either all of it or, on an error, nothing."""
        if not isinstance(spec, dict):
            raise KnobError(f"knobs are an object, got {spec!r}")
        rules: list[Rule] = []
        behaviours: list[dict[str, Any]] = []
        for name, value in spec.items():
            if name in KINDS:
                rules += [Rule.parse(name, one) for one in (value if isinstance(value, list) else [value])]
            elif name == "pending_polls":
                if not isinstance(value, int) or isinstance(value, bool) or value < 0:
                    raise KnobError(f"`pending_polls` is a number from 0, got {value!r}")
            elif name == "instant":
                if not isinstance(value, bool):
                    raise KnobError(f"`instant` is true or false, got {value!r}")
            elif name in ("clock", "slow_drain", "deploy_seconds"):
                if not isinstance(value, (int, float)) or isinstance(value, bool) or value < (0.01 if name == "clock" else 0):
                    raise KnobError(f"`{name}` is a number, got {value!r}")
            elif name == "behave":
                behaviours = [_behaviour(one) for one in (value if isinstance(value, list) else [value])]
            else:
                raise KnobError(f"no knob `{name}`; there are {', '.join(KINDS + SETTINGS)}")
        with self._lock:
            self.rules += rules
            self.pending_polls = spec.get("pending_polls", self.pending_polls)
            self.instant = spec.get("instant", self.instant)
            self.clock = float(spec.get("clock", self.clock))
            self.slow_drain = float(spec.get("slow_drain", self.slow_drain))
            self.deploy_seconds = float(spec.get("deploy_seconds", self.deploy_seconds))
            self.behaviours = self.behaviours + behaviours

    def hit(self, kind: str, action: str, agent: str) -> Rule | None:
        """The first rule of this kind that hits this call, counted as used."""
        with self._lock:
            now = time.monotonic()
            for rule in self.rules:
                if rule.kind == kind and rule.applies(action, agent) and rule.use(now):
                    return rule
        return None

    def failed_image(self, action: str, name: str) -> Rule | None:
        """The rule by which an image of this name, made by CreateImage or CopyImage, ends as `failed`."""
        with self._lock:
            now = time.monotonic()
            for rule in self.rules:
                if (
                    rule.kind == "fail_image"
                    and fnmatch.fnmatchcase(name, rule.name)
                    and fnmatch.fnmatchcase(action, rule.action)
                    and rule.use(now)
                ):
                    return rule
        return None

    def failed(self, kind: str, group: str) -> Rule | None:
        """The rule by which the next launch in this group, or deployment to it, fails."""
        with self._lock:
            now = time.monotonic()
            for rule in self.rules:
                if rule.kind == kind and fnmatch.fnmatchcase(group, rule.group) and rule.use(now):
                    return rule
        return None

    def latency(self, action: str, agent: str) -> float:
        """Seconds to wait before this call is answered: the sum of all rules that hit it."""
        with self._lock:
            now = time.monotonic()
            return sum(
                rule.seconds
                for rule in self.rules
                if rule.kind == "latency" and rule.applies(action, agent) and rule.use(now)
            )

    def public(self) -> dict[str, Any]:
        with self._lock:
            return {
                "pending_polls": self.pending_polls,
                "instant": self.instant,
                "clock": self.clock,
                "slow_drain": self.slow_drain,
                "deploy_seconds": self.deploy_seconds,
                "behave": self.behaviours,
                "rules": [rule.public() for rule in self.rules],
            }
