"""What stores of locks tell of a change. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coordination.locks.types import Kind, Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class LockEvent:
    """One change of one resource."""

    what: str
    """``lock.granted``, ``lock.handed``, ``lock.waiting``, ``lock.renewed``, ``lock.released``,
    ``lock.expired``, ``lock.gave_up``, ``lock.forced``, ``lock.revoke_asked``,
    ``lock.release_refused``; of every kind of resource. ``lock.tokens_raised`` is of no resource:
    its name is ``*``."""
    resource: Resource
    at_us: int
    """By the store's clock."""
    node: str
    """Who called the store, when this happened."""
    id: str
    """Of the request it befell."""
    token: int
    """0 when it had none."""
    data: Mapping[str, Any]


def parse_packed(packed: str, *, stamp: int) -> LockEvent:
    """The event that `emit` of head.lua packed; a grant's token is the stamp of its entry."""
    what, kind, name, at, node, id_, token, data = packed.split("\n", 7)
    return LockEvent(
        what=what,
        resource=Resource(Kind(kind), name),
        at_us=int(at),
        node=node,
        id=id_,
        token=int(token) if token else stamp,
        data=json.loads(data),
    )
