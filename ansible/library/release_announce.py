#!/usr/bin/python
# Owns: telling the nodes of a release by Consul's event, and knowing from Consul when each of them serves it. Runs where an agent answers.
# Must not: believe a node's word for what it deployed; what its health check was answered counts.
# Invariant: success means that every instance of every service named answered with the release; the rest is listed with its reason.
"""Ansible module: announce a release and wait until every node serves it."""

import json
import time
from urllib.error import HTTPError, URLError
from urllib.parse import quote

from ansible.module_utils.basic import AnsibleModule, env_fallback
from ansible.module_utils.urls import open_url

DOCUMENTATION = """
module: release_announce
short_description: Announces a release by a Consul event and waits until every node serves it
options:
  url: {type: str, default: "http://127.0.0.1:8500", description: "Of an agent. Default from CONSUL_HTTP_ADDR."}
  token: {type: str, description: "ACL token. Default from CONSUL_HTTP_TOKEN."}
  release: {type: str, required: true, description: Its name.}
  manifest_url: {type: str, required: true, description: The event's payload.}
  services: {type: list, elements: str, required: true, description: "Whose instances are waited for; their checks ask for JSON with a C(release)."}
  event: {type: str, default: deploy-app, description: The event's name.}
  timeout: {type: int, default: 300, description: Seconds.}
  again: {type: int, default: 20, description: Seconds after which nodes that gave no sign are told again.}
"""

EXAMPLES = """
- release_announce: {release: "2026-11-22.1", manifest_url: "s3://acme-releases/app/releases/2026-11-22.1/manifest.yml", services: [web, api]}
"""

RETURN = """
nodes: {type: dict, returned: always, description: "For each service/node, seconds after the event until it served the release."}
left_out: {type: list, returned: always, description: Nodes that Consul holds for dead; nobody waits for them.}
"""


class Refused(Exception):
    """Why not every node serves the release."""


class Consul:
    """What is asked of Consul."""

    def __init__(self, url, token):
        self.url = (url if "://" in url else f"http://{url}").rstrip("/")
        self.headers = {"X-Consul-Token": token} if token else {}

    def ask(self, path, method="GET", data=None):
        try:
            return json.load(open_url(f"{self.url}{path}", method=method, data=data, headers=self.headers, timeout=30, use_proxy=False))
        except HTTPError as error:
            raise Refused(f"Consul answers {error.code} to {path}: {error.read().decode(errors='replace').strip()[:200]}") from error
        except (URLError, OSError) as error:
            raise Refused(f"Consul does not answer at {self.url}: {getattr(error, 'reason', error)}") from error

    def announce(self, event, payload):
        self.ask(f"/v1/event/fire/{quote(event)}", method="PUT", data=payload)

    def instances(self, service):
        return self.ask(f"/v1/health/service/{quote(service)}?consistent")


def body_of(output):
    """The JSON in a check's output: `HTTP GET http://…: 200 OK Output: {…}`, or all of it."""
    start = output.find("{")
    try:
        found = json.loads(output[start:]) if start >= 0 else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


class Instance:
    """One instance of a service as Consul has it."""

    def __init__(self, service, entry):
        self.name = f"{service}/{entry['Node']['Node']}"
        checks = entry["Checks"]
        own = [check for check in checks if check["ServiceName"] == service]
        self.dead = any(check["CheckID"] == "serfHealth" and check["Status"] == "critical" for check in checks)
        self.passing = bool(own) and all(check["Status"] == "passing" for check in own)
        self.release = next((body_of(check["Output"])["release"] for check in own if "release" in body_of(check["Output"])), None)
        self.report = next((check["Output"] for check in checks if check["CheckID"] == "deploy"), "")

    def serves(self, release):
        return self.passing and self.release == release

    def heard(self, manifest_url, report_before):
        """What the node says of this announcement; nothing, while it has not heard of it."""
        report = body_of(self.report)
        return report if self.report != report_before and report.get("manifest") == manifest_url else {}

    def why_not(self, manifest_url, report_before):
        report = self.heard(manifest_url, report_before)
        return (report.get("reason") or "it says that it failed") if report.get("result") == "failed" else None


def look(consul, services):
    seen, dead = [], []
    for service in services:
        instances = [Instance(service, entry) for entry in consul.instances(service)]
        if not instances:
            raise Refused(f"Consul knows no instance of `{service}`")
        dead += [instance.name for instance in instances if instance.dead]
        seen += [instance for instance in instances if not instance.dead]
    return seen, dead


def roll(consul, module):
    asked = module.params
    release, url = asked["release"], asked["manifest_url"]
    seen, dead = look(consul, asked["services"])
    if all(instance.serves(release) for instance in seen):
        return {"changed": False, "nodes": {instance.name: 0 for instance in seen}, "left_out": dead}
    if module.check_mode:
        return {"changed": True, "nodes": {instance.name: None for instance in seen}, "left_out": dead}
    before = {instance.name: instance.report for instance in seen}
    started = told = time.monotonic()
    consul.announce(asked["event"], url)
    nodes = {}
    while True:
        seen, dead = look(consul, asked["services"])
        now = time.monotonic()
        waiting = [instance for instance in seen if not instance.serves(release)]
        for instance in seen:
            if instance not in waiting:
                nodes.setdefault(instance.name, round(now - started, 1))
        if not waiting:
            return {"changed": True, "nodes": nodes, "left_out": dead}
        failed = {instance.name: reason for instance in waiting if (reason := instance.why_not(url, before.get(instance.name, "")))}
        # One that said why not will not think otherwise; the others may still come.
        if len(failed) == len(waiting) or now - started > asked["timeout"]:
            reasons = [f"{i.name}: {failed.get(i.name) or ('serves ' + str(i.release) if i.passing else 'its check is not passing')}" for i in waiting]
            raise Refused(f"{len(waiting)} of {len(seen)} instances do not serve `{release}` after {now - started:.0f} s: " + "; ".join(reasons))
        # Events travel by gossip, and an agent that was just restarting has missed it. Taking it twice does no harm.
        deaf = [instance for instance in waiting if not instance.heard(url, before.get(instance.name, ""))]
        if deaf and now - told > asked["again"]:
            consul.announce(asked["event"], url)
            told = now
        time.sleep(0.3)


def main():
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "default": "http://127.0.0.1:8500", "fallback": (env_fallback, ["CONSUL_HTTP_ADDR"])},
            "token": {"type": "str", "no_log": True, "fallback": (env_fallback, ["CONSUL_HTTP_TOKEN"])},
            "release": {"type": "str", "required": True},
            "manifest_url": {"type": "str", "required": True},
            "services": {"type": "list", "elements": "str", "required": True},
            "event": {"type": "str", "default": "deploy-app"},
            "timeout": {"type": "int", "default": 300},
            "again": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    try:
        module.exit_json(**roll(Consul(module.params["url"], module.params["token"]), module))
    except Refused as refused:
        module.fail_json(msg=str(refused))


if __name__ == "__main__":
    main()
