"""What stores of queues tell of a change, and how their events are named. Pure.

A call that changes messages is one event with all their ids. Nobody numbers the events of a queue
but Redis, so each is an object of its own: ``<store> <queue> <time.number>``, of version 1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

OBJECT: Final = "queue"
"""What events of queues are about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueEvent:
    """One change of one queue."""

    what: str
    """``message.published``, ``.taken``, ``.extended``, ``.acked``, ``.retried``, ``.released``,
    ``.lapsed``, ``.died``, ``.expired``, ``.purged``, ``.moved``, ``.refused`` of messages of this
    queue; ``.buried``, ``.arrived``, ``.redriven`` of those that came to it; ``queue.declared``,
    ``queue.paused``."""
    queue: str
    at_us: int
    """By the store's clock."""
    node: str
    """Who called the store, when this happened."""
    op: str
    version: int
    """Of the queue, without a gap; 0 where the store has none."""
    data: Mapping[str, Any]


def parse_packed(packed: str) -> QueueEvent:
    """The event that `emit` of head.lua packed. Raises ValueError."""
    what, queue, at, node, op, version, data = packed.split("\n", 6)
    told = json.loads(data)
    if not isinstance(told, dict):
        raise ValueError("data of an event must be an object")  # noqa: TRY004  it is bad input
    return QueueEvent(
        what=what,
        queue=queue,
        at_us=int(at),
        node=node,
        op=op,
        version=int(version),
        data=told,
    )


def key_of(store: str, queue: str) -> str:
    """The key of a queue's records."""
    return f"{store} {queue}"


def name_of(store: str, event: QueueEvent, *, position: int, era: int) -> str:
    """The name of an event that is copied from where its store keeps it; no two have the same."""
    return f"{store} {event.queue} {event.at_us}.{position}" + (f".{era}" if era else "")


def key_of_event(name: str) -> str:
    """The key of the queue that the event with this name is about."""
    return name.rpartition(" ")[0]
