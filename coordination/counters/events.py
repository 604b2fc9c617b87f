"""What stores of counters tell of a change. Pure."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from coordination.counters.types import Past

_EPOCH = datetime.fromtimestamp(0, UTC)


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
    )
