# What a playbook run did, as one JSON object a line, for ovenbird to read while it happens and afterwards.
# Owns the format of the report file. Must not print (the stdout callback is the user's choice), and must never write arguments or
# results of a module: of a failure its `msg`, and nothing at all of a task with no_log.
# Invariant: every line is written whole and at once; a report without a `stats` line is a run that did not come to its end.
"""ovenbird's report of a playbook run."""

from __future__ import annotations

import json
import os
import sys
import time

from ansible.plugins.callback import CallbackBase
from ansible.release import __version__ as ansible_version
from jinja2 import __version__ as jinja_version

DOCUMENTATION = """
name: ovenbird_callback
type: notification
short_description: Writes what a run did to the file named by OVENBIRD_REPORT
description:
  - One JSON object a line. Does nothing when OVENBIRD_REPORT is not set.
requirements:
  - OVENBIRD_REPORT in the environment
"""

FORMAT = 1
MESSAGE_LIMIT = 4000


def _of(result, name):
    """A field of a task result: public since ansible-core 2.19, underscored before."""
    value = getattr(result, name, None)
    return getattr(result, "_" + name) if value is None else value


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "ovenbird_callback"
    # Being found is enough: naming it in ANSIBLE_CALLBACKS_ENABLED would take the place of the list in the user's ansible.cfg.
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._file = None
        self._started = {}
        path = os.environ.get("OVENBIRD_REPORT")
        if not path:
            self.disabled = True
            return
        # Not the file object's own buffer: one write a line, so that two runs that share a report cannot cut into each other.
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _write(self, event, **fields):
        if self._file is not None:
            line = json.dumps({"event": event, **fields}, ensure_ascii=False, default=str) + "\n"
            os.write(self._file, line.encode("utf-8", "surrogateescape"))

    # Tasks

    def _task(self, task):
        role = getattr(task, "_role", None)
        # The fact gathering that a play does by itself has no source of its own. It is not a task of the playbook: a run in
        # which nothing else happened did nothing.
        written = getattr(task, "_ds", None) is not None
        return {
            "task": task.get_name().strip(),
            "path": task.get_path() or "",
            "role": role.get_name() if role is not None else None,
            "action": str(task.action),
            "tags": sorted(str(tag) for tag in task.tags),
            "handler": self._is_handler(task),
            "implicit": not written,
        }

    @staticmethod
    def _is_handler(task):
        return any(kind.__name__ == "Handler" for kind in type(task).__mro__)

    def v2_playbook_on_start(self, playbook):
        self._write(
            "start",
            format=FORMAT,
            playbook=os.path.join(playbook._basedir, playbook._file_name),
            ansible=ansible_version,
            python=".".join(str(part) for part in sys.version_info[:3]),
            jinja=jinja_version,
            # Is what this process opens written down, and where ovenbird will look.
            guard=bool(os.environ.get("OVENBIRD_OPENED")) and getattr(sys, "_ovenbird_guard", None) == os.environ["OVENBIRD_OPENED"],
        )

    def v2_playbook_on_play_start(self, play):
        # `hosts` as it is written; which machines it means Ansible finds out later, or says `no_hosts`.
        hosts = play.hosts if isinstance(play.hosts, (list, tuple)) else [play.hosts]
        self._write("play", name=play.get_name().strip(), hosts=[str(host) for host in hosts])

    def v2_playbook_on_no_hosts_matched(self):
        self._write("no_hosts")

    def v2_playbook_on_task_start(self, task, is_conditional):
        self._begin(task)

    def v2_playbook_on_handler_task_start(self, task):
        self._begin(task)

    def _begin(self, task):
        self._started[task._uuid] = time.monotonic()
        # The guard's record has the same clock: what is opened from now on is opened for this task.
        self._write("task", at=time.monotonic_ns(), **self._task(task))

    def v2_runner_on_start(self, host, task):
        # With several hosts (`delegate_to`, a second play) each has its own start.
        self._started[task._uuid, host.get_name()] = time.monotonic()

    # Results

    def _result(self, result, status):
        task, host, values = _of(result, "task"), _of(result, "host").get_name(), _of(result, "result")
        begun = self._started.pop((task._uuid, host), None) or self._started.get(task._uuid) or time.monotonic()
        changed = bool(values.get("changed", False))
        if status == "ok" and changed:
            status = "changed"
        fields = self._task(task)
        fields.update(host=host, status=status, changed=changed, seconds=round(time.monotonic() - begun, 3))
        if status in ("failed", "unreachable", "ignored"):
            fields["msg"] = self._message(task, values)
        if status == "skipped" and not self._silent(task, values):
            fields["because"] = str(values.get("false_condition", ""))[:MESSAGE_LIMIT]
        self._write("result", **fields)

    @staticmethod
    def _silent(task, values):
        # `censored` is what Ansible itself leaves of a result with no_log, also of one that only an item of a loop had.
        return task.no_log is not None and task.no_log is not False or "censored" in values or bool(values.get("_ansible_no_log"))

    @classmethod
    def _message(cls, task, values):
        if cls._silent(task, values):
            return None
        message = values.get("msg")
        if message is None:
            return None
        return str(message)[:MESSAGE_LIMIT]

    def v2_runner_on_ok(self, result):
        self._result(result, "ok")

    def v2_runner_on_skipped(self, result):
        self._result(result, "skipped")

    def v2_runner_on_failed(self, result, ignore_errors=False):
        self._result(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result):
        self._result(result, "ignored" if _of(result, "task").ignore_unreachable else "unreachable")

    def v2_playbook_on_stats(self, stats):
        hosts = {}
        for host in sorted(stats.processed):
            counts = dict(stats.summarize(host))
            counts["failed"] = counts.pop("failures")
            hosts[host] = counts
        self._write("stats", hosts=hosts)
