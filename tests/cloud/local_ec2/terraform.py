# Owns: the requests of the stand-in provider (tests/cloud/provider): which resource, which operation, what an error says.
# Must not: touch moto; everything goes through boto3 to this server's own endpoint, so that knobs, records and ovenbird see it.
# Invariant: an argument that cannot be carried out is refused by name, never dropped.
"""`POST /_local/terraform`: create, read, update, delete and look up, for Terraform."""

from __future__ import annotations

import functools
import json
import re
import threading
import time
import traceback
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

Attributes = dict[str, Any]


class Refused(Exception):
    """Said to Terraform as it is."""


class Pending(Exception):
    """The resource is not there yet where the real provider would wait."""

    def __init__(self, what: str, state: str, seconds: float) -> None:
        super().__init__(what)
        self.answer = {"what": what, "state": state, "seconds": seconds}


class Gone(Exception):
    """Nothing of that id is left."""


class Clients:
    """boto3 clients by service and region; making one costs a tenth of a second, and is not made for threads."""

    def __init__(self, about: dict[str, Any]) -> None:
        self._about = about
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str], Any] = {}

    def __call__(self, service: str, region: str) -> Any:
        with self._lock:
            if (service, region) not in self._made:
                self._made[service, region] = boto3.client(
                    service, region_name=region, endpoint_url=self._about["endpoint"], aws_access_key_id="test", aws_secret_access_key="test",
                    # A knob that throttles is met as the real provider meets it; a failed call is not sent twice, or it would
                    # hide what lost replies do.
                    config=Config(user_agent_extra="terraform", retries={"mode": "standard", "total_max_attempts": 5}, max_pool_connections=20),
                )  # fmt: skip
            return self._made[service, region]


@dataclass
class Call:
    """One request, and the helpers that every resource uses."""

    op: str
    type: str
    region: str
    default_tags: dict[str, str]
    after: str
    began: float
    config: Attributes
    prior: Attributes
    planned: Attributes
    clients: Clients
    made: Attributes = field(default_factory=dict)
    """What a create has done so far; with an error after it the resource is tainted, not lost."""

    def client(self, service: str) -> Any:
        return self.clients(service, self.region)

    @property
    def id(self) -> str:
        return self.prior.get("id") or self.planned.get("id") or ""

    def changed(self, *names: str) -> bool:
        return any(self.planned.get(name) != self.prior.get(name) for name in names)

    def name(self, prefix: str = "terraform-") -> str:
        """As written, or the prefix and a unique end, as the real provider makes it."""
        if name := self.planned.get("name"):
            return name
        now = time.time()
        end = f"{time.strftime('%Y%m%d%H%M%S', time.gmtime(now))}{int(now * 10000) % 10000:04d}{next_number():08x}"
        return (self.planned.get("name_prefix") or prefix) + end

    def only(self, *handled: str) -> None:
        """Refuses what was written and is not among these. What is false, zero or empty asks for nothing."""
        always = {"id", "arn", "name", "name_prefix", "region", "tags", "tags_all", "timeouts"}
        for name, value in self.config.items():
            if value and name not in always and name not in handled:
                raise Refused(f"the local EC2 cannot carry out `{name}` of {self.type}")

    def tags(self) -> list[dict[str, str]]:
        return pairs(self.planned.get("tags_all"))

    def read_tags(self, found: dict[str, str]) -> Attributes:
        """`tags` are those that the provider's default_tags do not explain."""
        found = {key: value for key, value in found.items() if not key.startswith("aws:")}
        own = self.prior.get("tags") or {}
        tags = {key: value for key, value in found.items() if key in own or self.default_tags.get(key) != value}
        return {"tags": tags or (None if self.prior.get("tags") is None else {}), "tags_all": found}

    def tag_changes(self) -> tuple[dict[str, str], list[str]]:
        before, after = self.prior.get("tags_all") or {}, self.planned.get("tags_all") or {}
        return {k: v for k, v in after.items() if before.get(k) != v}, [k for k in before if k not in after]


_numbers = iter(range(1, 1 << 31))
_numbers_lock = threading.Lock()


def next_number() -> int:
    with _numbers_lock:
        return next(_numbers)


def pairs(tags: dict[str, str] | None) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted((tags or {}).items())]


def unpaired(tags: list[dict[str, str]] | None) -> dict[str, str]:
    return {one["Key"]: one["Value"] for one in tags or []}


def first(blocks: list[Attributes] | None) -> Attributes:
    """The one block of a kind that may be there once."""
    return blocks[0] if blocks else {}


def prefix_of(name: str) -> str | None:
    """The prefix of a name that `Call.name` made."""
    return name[:-26] if re.fullmatch(r".+\d{18}[0-9a-f]{8}", name) else None


def given(**arguments: Any) -> dict[str, Any]:
    """Without what is not set: boto3 takes no None, and an empty string is seldom meant."""
    return {name: value for name, value in arguments.items() if value not in (None, "", [])}


class Resource:
    """What a type can do. `read` gives all attributes that the API knows, or raises Gone."""

    title = ""
    gone: tuple[str, ...] = ()
    """Error codes that say: no such thing."""

    def create(self, call: Call) -> None:
        raise NotImplementedError

    def read(self, call: Call) -> Attributes:
        raise NotImplementedError

    def update(self, call: Call) -> None:
        raise NotImplementedError

    def delete(self, call: Call) -> None:
        raise NotImplementedError

    def settle(self, call: Call) -> None:
        """After create, update or delete: the waits, by raising Pending. Asked again until it returns."""


VERBS = {"create": "creating", "read": "reading", "update": "updating", "delete": "deleting", "data": "reading"}


class Terraform:
    """The endpoint."""

    def __init__(self, about: dict[str, Any]) -> None:
        self.clients = Clients(about)

    @functools.cached_property
    def _types(self) -> tuple[dict[str, Resource], dict[str, Any]]:
        from . import terraform_access, terraform_balancers, terraform_data, terraform_groups, terraform_templates

        resources: dict[str, Resource] = {}
        for module in (terraform_access, terraform_balancers, terraform_groups, terraform_templates):
            resources |= module.RESOURCES
        return resources, terraform_data.DATA

    def handle(self, body: bytes) -> dict[str, Any]:
        asked = json.loads(body)
        call = Call(
            asked["op"], asked["type"], asked["region"], asked.get("default_tags") or {}, asked.get("after", ""), asked.get("began", 0.0),
            asked["config"] or {}, asked["prior"] or {}, asked["planned"] or {}, self.clients,
        )  # fmt: skip
        resources, data = self._types
        if call.op == "data":
            return self._answered(call, None, lambda: {"set": data[call.type](call)})
        resource = resources[call.type]
        return self._answered(call, resource, lambda: self._done(call, resource))

    def _answered(self, call: Call, resource: Resource | None, act: Any) -> dict[str, Any]:
        try:
            return act()
        except Gone:
            return {"gone": True}
        except Refused as error:
            return self._failed(call, str(error))
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if resource and code in resource.gone and (call.op == "read" or "delete" in (call.op, call.after)):
                return {"gone": True}
            what = resource.title if resource else f"data {call.type}"
            name = call.id or call.planned.get("name") or ""
            verb = VERBS[call.after or call.op]
            return self._failed(call, f"{verb} {what} ({name}): api error {code}: {error.response['Error']['Message']}")
        except BotoCoreError as error:
            return self._failed(call, f"{VERBS[call.after or call.op]} {call.type}: {error}")
        except Exception as error:  # a bug here must not look like a dead server
            traceback.print_exc(limit=-3)
            return self._failed(call, f"the local EC2 cannot do this: {VERBS[call.after or call.op]} {call.type}: {type(error).__name__}: {error}")

    @staticmethod
    def _failed(call: Call, message: str) -> dict[str, Any]:
        return {"error": message, **({"set": call.made} if call.made else {})}

    @staticmethod
    def _done(call: Call, resource: Resource) -> dict[str, Any]:
        if call.op == "read":
            return {"set": resource.read(call)}
        deleting = "delete" in (call.op, call.after)
        if call.op != "await":
            getattr(resource, call.op)(call)
        if call.made:
            call.planned |= call.made
        try:
            resource.settle(call)
        except Pending as pending:
            return {"pending": pending.answer, **({"set": call.made} if call.made else {})}
        if deleting:
            return {}
        # What Terraform keeps is what the API says, not what was asked for. Its tags were planned from this state.
        call.prior = call.planned
        return {"set": resource.read(call)}
