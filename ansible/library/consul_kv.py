#!/usr/bin/python
# Owns: bringing Consul's KV to what is wanted, in one transaction. Must not: show a secret, or touch a key outside of what it was given.
# Invariant: every write is conditional on what was read, so a change made by somebody else meanwhile makes all of it fail, not half.
"""Ansible module: Consul KV as a whole."""

import base64
import json
from urllib.error import HTTPError, URLError
from urllib.parse import quote

from ansible.module_utils.basic import AnsibleModule, env_fallback
from ansible.module_utils.urls import open_url

DOCUMENTATION = """
module: consul_kv
short_description: Brings keys of Consul's KV to what is wanted, in one transaction
description:
  - Reads what is there, writes only what differs, all of it or nothing.
  - A secret's value is never shown, neither in the result nor in the difference, before or after.
options:
  url: {type: str, default: "http://127.0.0.1:8500", description: "Of an agent. Default from CONSUL_HTTP_ADDR."}
  token: {type: str, description: "ACL token. Default from CONSUL_HTTP_TOKEN."}
  values: {type: dict, default: {}, description: Keys and their values; strings or whole numbers.}
  secrets: {type: dict, default: {}, description: "Keys whose values are secret; they are marked in Consul by the flag 1, which is how a later run knows it."}
  once: {type: dict, default: {}, description: "Keys that never change: when one holds something else, nothing is written. By the name of the environment, one's values do not reach another's Consul."}
  folders: {type: list, elements: str, default: [], description: "Folders that belong to this list of keys, say C(database/)."}
  remove: {type: bool, default: false, description: Remove keys in O(folders) that are not wanted. Otherwise they are named and left.}
  several_transactions: {type: bool, default: false, description: "Consul takes 64 operations in a transaction. More are refused unless this says that it need not be one."}
"""

EXAMPLES = """
- consul_kv:
    folders: [database/]
    once: {environment: staging}
    values: {database/master-host: db-1.internal, database/port: 5432}
    secrets: {database/password: "{{ vault_database_password }}"}
"""

RETURN = """
set: {type: list, returned: always, description: Keys that were (in check mode would be) written.}
removed: {type: list, returned: always, description: Keys that were removed.}
left: {type: list, returned: always, description: Keys in the folders that nobody wants and that were left.}
transactions: {type: int, returned: always, description: How many transactions it took.}
"""

OPERATIONS = 64
VALUE_BYTES = 512 * 1024
SECRET = 1


class Refused(Exception):
    """Why nothing, or not all, was done."""


class Kv:
    """Consul's KV over HTTP."""

    def __init__(self, url, token):
        self.url = (url if "://" in url else f"http://{url}").rstrip("/")
        self.headers = {"X-Consul-Token": token} if token else {}

    def ask(self, path, method="GET", data=None):
        """Status and body; only what has no status is an exception."""
        try:
            reply = open_url(f"{self.url}{path}", method=method, data=data, headers=self.headers, timeout=30, use_proxy=False)
            return reply.status, reply.read()
        except HTTPError as error:
            return error.code, error.read()
        except (URLError, OSError) as error:
            raise Refused(f"Consul does not answer at {self.url}: {getattr(error, 'reason', error)}") from error

    def read(self, key, folder):
        status, body = self.ask(f"/v1/kv/{quote(key)}?consistent{'&recurse' if folder else ''}")
        if status == 404:
            return {}
        if status != 200:
            raise Refused(f"Consul answers {status} to reading `{key}`: {body.decode(errors='replace').strip()}")
        return {entry["Key"]: entry for entry in json.loads(body)}

    def commit(self, operations):
        status, body = self.ask("/v1/txn", method="PUT", data=json.dumps(operations))
        if status == 200:
            return
        if status != 409:
            raise Refused(f"Consul answers {status} to the transaction: {body.decode(errors='replace').strip()[:300]}")
        problems = []
        for error in json.loads(body).get("Errors") or []:
            key = operations[error["OpIndex"]]["KV"]["Key"]
            # Consul's own text may quote the key; it never quotes a value.
            problems.append(f"`{key}`: {'somebody else changed it meanwhile' if 'index' in error['What'] else error['What']}")
        raise Refused("; ".join(problems) or "Consul refused the transaction and says not why")


def text(key, value):
    """What is stored. A value that YAML made into something else than it was written as must not get through."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise Refused(f"`{key}` is {type(value).__name__}, wanted a string or a whole number; write it in quotes")
    stored = str(value).encode()
    if len(stored) > VALUE_BYTES:
        raise Refused(f"`{key}` has {len(stored)} bytes, and Consul takes {VALUE_BYTES}")
    return stored


def wanted_keys(values, secrets, once):
    for more in (secrets, once):
        both = sorted(set(values) & set(more))
        if both:
            raise Refused(f"`{both[0]}` is among the values and among {'the secrets' if more is secrets else 'what never changes'}")
    wanted = {key: (text(key, value), 0) for key, value in {**values, **once}.items()}
    wanted.update({key: (text(key, value), SECRET) for key, value in secrets.items()})
    for key in wanted:
        if not key or key.startswith("/") or key.endswith("/"):
            raise Refused(f"`{key}` is no key: it must not be empty, or begin or end with a slash")
    return wanted


def stored_value(entry):
    return base64.b64decode(entry["Value"] or "")


def plan(wanted, found, folders, remove):
    """Operations, keys to set, keys to remove, keys left."""
    operations, to_set = [], []
    for key, (value, flags) in sorted(wanted.items()):
        entry = found.get(key)
        if entry and stored_value(entry) == value and entry["Flags"] & SECRET == flags:
            continue
        to_set.append(key)
        operations.append({"KV": {"Verb": "cas", "Key": key, "Value": base64.b64encode(value).decode(), "Flags": flags, "Index": entry["ModifyIndex"] if entry else 0}})
    # A folder that somebody made in Consul's own pages is a key that ends with a slash.
    unwanted = sorted(key for key in found if key not in wanted and not key.endswith("/") and any(key.startswith(folder) for folder in folders))
    if remove:
        operations += [{"KV": {"Verb": "delete-cas", "Key": key, "Index": found[key]["ModifyIndex"]}} for key in unwanted]
    return operations, to_set, unwanted if remove else [], [] if remove else unwanted


def shown(key, value, flags, secret_now, word):
    """One line of the difference. A key that is or was secret shows nothing but that."""
    if flags & SECRET or secret_now:
        return f"{key}: (secret, {word})\n"
    return f"{key}: {value.decode(errors='replace')}\n"


def difference(wanted, found, to_set, to_remove):
    before, after = "", ""
    for key in sorted([*to_set, *to_remove]):
        entry, want = found.get(key), wanted.get(key)
        secret = bool(want and want[1] & SECRET)
        if entry:
            before += shown(key, stored_value(entry), entry["Flags"], secret, "as it is")
        if want:
            after += shown(key, want[0], want[1], secret, "another" if entry else "new")
    return {"before_header": "consul kv", "after_header": "consul kv", "before": before, "after": after}


def bring(kv, module):
    asked = module.params
    folders = [folder if folder.endswith("/") else f"{folder}/" for folder in asked["folders"]]
    wanted = wanted_keys(asked["values"], asked["secrets"], asked["once"])
    found = {}
    for folder in folders:
        found.update(kv.read(folder, True))
    for key in wanted:
        if not any(key.startswith(folder) for folder in folders):
            found.update(kv.read(key, False))
    for key in sorted(asked["once"]):
        if key in found and stored_value(found[key]) != wanted[key][0]:
            raise Refused(f"`{key}` of this Consul is `{stored_value(found[key]).decode(errors='replace')}` and not `{asked['once'][key]}`; nothing was written")
    operations, to_set, to_remove, left = plan(wanted, found, folders, asked["remove"])
    parts = [operations[start:start + OPERATIONS] for start in range(0, len(operations), OPERATIONS)]
    result = {"changed": bool(operations), "set": to_set, "removed": to_remove, "left": left, "transactions": len(parts)}
    if module._diff:
        result["diff"] = difference(wanted, found, to_set, to_remove)
    if len(parts) > 1 and not asked["several_transactions"]:
        raise Refused(
            f"{len(operations)} changes, and Consul takes {OPERATIONS} in a transaction; nothing was written. "
            "Make them in several runs, or say several_transactions: others then see states between, and a failure leaves what was written before it"
        )
    if not module.check_mode:
        for number, part in enumerate(parts):
            try:
                kv.commit(part)
            except Refused as refused:
                done = f"the first {number * OPERATIONS} of {len(operations)} changes were written" if number else "nothing was written"
                raise Refused(f"{done}: {refused}") from refused
    return result


def main():
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "default": "http://127.0.0.1:8500", "fallback": (env_fallback, ["CONSUL_HTTP_ADDR"])},
            "token": {"type": "str", "no_log": True, "fallback": (env_fallback, ["CONSUL_HTTP_TOKEN"])},
            "values": {"type": "dict", "default": {}},
            "secrets": {"type": "dict", "default": {}, "no_log": True},
            "once": {"type": "dict", "default": {}},
            "folders": {"type": "list", "elements": "str", "default": []},
            "remove": {"type": "bool", "default": False},
            "several_transactions": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**bring(Kv(module.params["url"], module.params["token"]), module))
    except Refused as refused:
        module.fail_json(msg=str(refused))


if __name__ == "__main__":
    main()
