"""What stores of counters tell of a change. Pure."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from coordination.counters.types import Change, Past, Rules

_EPOCH = datetime.fromtimestamp(0, UTC)


def note_of(rules: Rules, change: Change | None = None) -> dict[str, Any]:
    """What an event says beside the change: what the counter was declared with, and who did it.

    What is as it is by default is left out.
    """
    said: dict[str, Any] = {}
    if rules.initial:
        said["initial"] = rules.initial
    if rules.minimum is not None:
        said["minimum"] = rules.minimum
    if rules.maximum is not None:
        said["maximum"] = rules.maximum
    if rules.shards > 1:
        said["shards"] = rules.shards
    if change is not None and change.actor:
        said |= {"actor": change.actor, "reason": change.reason}
    return said


def fragment(note: Mapping[str, Any]) -> str:
    """A note as the beginning of a JSON object, behind its brace; see tell.lua."""
    return json.dumps(note, separators=(",", ":"))[1:-1] + "," if note else ""


def parse_packed(packed: str) -> tuple[str, Past]:
    """Name of the counter and the change, of the event that `tell` of tell.lua packed.

    Raises ValueError for what is not such an event.
    """
    kind, _object, name, at_us, node, op_id, version, data = packed.split("\n", 7)
    told = json.loads(data) | {"id": op_id}
    return name, past(told, kind=kind, version=int(version), at_us=int(at_us), node=node)


def past(data: Mapping[str, Any], *, kind: str, version: int, at_us: int, node: str) -> Past:
    """A change of the parts of its event."""
    return Past(
        version=version,
        kind=kind,
        at=_EPOCH + timedelta(microseconds=at_us),
        node=node,
        op_id=data["id"],
        before=int(data["before"]),
        after=int(data["after"]),
        shard=int(data.get("shard", 0)),
        actor=data.get("actor", ""),
        reason=data.get("reason", ""),
    )
