"""An event as it stands in its node, and as it is told. Pure.

Its time and, of a grant, its token and the end of its lease are known only once it is written, so
they are read from the node's Stat.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from coordination.connections.zookeeper_requests import Stat
from coordination.locks.stores.zookeeper.claims import token_of
from coordination.locks.types import Kind, Resource, moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One change, at its position in the log of one ZooKeeper."""

    position: int
    kind: str
    resource: Resource
    id: str
    at: datetime
    node: str
    token: int | None
    """None where there is none, and for a grant that was made again at once with a token."""
    fields: Mapping[str, Any]


def packed_event(kind: str, resource: Resource, id_: str, /, *, node: str, **fields: Any) -> bytes:
    """As it stands in the node."""
    event = {"kind": kind, "of": resource.kind, "name": resource.name, "id": id_, "node": node}
    return json.dumps(event | fields, separators=(",", ":")).encode()


def event_of(position: int, data: bytes, stat: Stat) -> Event:
    """The event of a node."""
    fields = json.loads(data)
    token, epoch, base = (fields.pop(each, None) for each in ("token", "epoch", "base"))
    if base is not None:
        token = token_of(stat.czxid, epoch=epoch, base=base)
    if (lasts_ms := fields.pop("lasts_ms", None)) is not None:
        fields["until"] = (stat.ctime_ms + lasts_ms) * 1000
    return Event(
        position=position,
        kind=fields.pop("kind"),
        resource=Resource(Kind(fields.pop("of")), fields.pop("name")),
        id=fields.pop("id"),
        at=moment(stat.ctime_ms * 1000),
        node=fields.pop("node"),
        token=token,
        fields=fields,
    )


def readable(position: int, data: bytes, stat: Stat) -> Event | None:
    """The event of a node; None when nobody can read it: perhaps a later version of Concord can."""
    try:
        return event_of(position, data, stat)
    except (ValueError, OverflowError, TypeError, KeyError, AttributeError):
        return None
