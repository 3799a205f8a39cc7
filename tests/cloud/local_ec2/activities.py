# Owns: the record of scaling activities and their words. Must not: start or end anything.
# Invariant: an activity that ended never changes again; the newest stands first, as `DescribeScalingActivities` gives them.
"""Scaling activities."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone
from typing import Any

KEPT = 1000
ENDED = ("Successful", "Failed", "Cancelled")


def now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Activities:
    """Of all groups, in all regions; those of deleted groups too."""

    def __init__(self) -> None:
        self._all: list[dict[str, Any]] = []

    def begin(self, group: Any, description: str, cause: str, details: str) -> dict[str, Any]:
        activity = {
            "ActivityId": str(uuid.uuid4()), "AutoScalingGroupName": group.name, "AutoScalingGroupARN": group.arn,
            "Description": description, "Cause": cause, "Details": details, "StartTime": datetime.now(timezone.utc),
            "StatusCode": "InProgress", "Progress": 30,
        }  # fmt: skip
        self._all.insert(0, activity)
        del self._all[KEPT:]
        return activity

    def move(self, activity: dict[str, Any] | None, status: str, message: str = "", description: str = "") -> None:
        """To another status; none of them leaves the last ones."""
        if activity is None or activity["StatusCode"] in ENDED:
            return
        activity["StatusCode"] = status
        if message:
            activity["StatusMessage"] = message
        if description:
            activity["Description"] = description
        if status in ENDED:
            activity["EndTime"] = datetime.now(timezone.utc)
            activity["Progress"] = 100

    def describe(self, region: str, names: list[str], ids: list[str], deleted: bool, existing: set[str]) -> list[dict[str, Any]]:
        """`existing`: ARNs of the groups there are."""
        found = []
        for one in self._all:
            is_there = one["AutoScalingGroupARN"] in existing
            if one["AutoScalingGroupARN"].split(":")[3] != region or (ids and one["ActivityId"] not in ids):
                continue
            if names and one["AutoScalingGroupName"] not in names:
                continue
            if is_there or deleted or ids:
                found.append(one if is_there else {**one, "AutoScalingGroupState": "Deleted"})
        return found

    def under_way(self, group: Any) -> bool:
        return any(one["AutoScalingGroupARN"] == group.arn and one["StatusCode"] not in ENDED for one in self._all)
