"""Messages as RabbitMQ carries them: the body plain, everything else in headers of ours."""

import time
from collections.abc import Mapping
from secrets import token_hex
from typing import Any

from coordination.connections.rabbitmq import Arrived, Envelope
from coordination.queues.stores import rabbitmq_topology as topology
from coordination.queues.types import Declaration, Outgoing, Taken

HEADERS, AT, SOURCE, ERROR = "concord-headers", "concord-at", "concord-source", "concord-error"
COPY = "concord-copy"
"""Tells a message that was published twice from one that was delivered twice."""
_KEPT = (HEADERS, AT)


def envelope(message: Outgoing, queue: Declaration) -> Envelope:
    """As it is published. Its time is by the publisher's clock: the server's is in seconds."""
    headers: dict[str, Any] = {AT: time.time_ns() // 1000, COPY: token_hex(6)}
    if message.headers != "{}":
        headers[HEADERS] = message.headers
    return Envelope(queue.name, message.id, message.body, headers)


def revived(message: Arrived, id_: str, *, to: str) -> Envelope:
    """The same message, as it was published, without what became of it."""
    headers = {word: message.headers[word] for word in _KEPT if word in message.headers}
    headers[COPY] = token_hex(6)
    return Envelope(to, id_, message.body, headers)


def copied(message: Arrived, id_: str, *, to: str, copy: str | None = None) -> Envelope:
    """The same message; a dead letter stays one. What the server wrote on it stays behind.

    `copy`: what to call it; None: it takes the place of this one.
    """
    plain = revived(message, id_, to=to)
    told = {COPY: copy_of(message) if copy is None else copy}
    if died_in := source(message.headers):
        told |= {SOURCE: died_in, ERROR: str(message.headers.get(ERROR, ""))}
    return plain._replace(headers={**plain.headers, **told})


def letter(message: Arrived, id_: str, queue: Declaration, error: str) -> Envelope:
    """The same message as a dead letter of `queue`."""
    assert queue.dead_letter is not None
    plain = revived(message, id_, to=queue.dead_letter)
    return plain._replace(headers={**plain.headers, SOURCE: queue.name, ERROR: error})


def copy_of(message: Arrived) -> str:
    """Which publication of the message it is; empty: of somebody who has no word for it."""
    return str(message.headers.get(COPY, ""))


def is_worn(message: Arrived) -> bool:
    """Whether the server has delivered it so often that it would soon make a dead letter of it."""
    return int(message.headers.get("x-delivery-count", 0)) >= topology.DELIVERIES_WORN


def source(headers: Mapping[str, Any]) -> str:
    """Of a dead letter: the queue it died in, also by the server's own word."""
    if SOURCE in headers:
        return str(headers[SOURCE])
    for death in headers.get("x-death") or ():
        queue = str(death.get("queue", ""))
        if queue.startswith(topology.QUEUE):
            return queue.removeprefix(topology.QUEUE)
    return ""


def taken(
    message: Arrived, id_: str, *, receipt: str, attempts: int, suspect: bool, error: str
) -> Taken:
    """As it is given to its taker."""
    headers = message.headers
    return Taken(
        id_,
        receipt,
        attempts,
        message.body,
        str(headers.get(HEADERS, "{}")),
        int(headers.get(AT, 0)),
        suspect=suspect,
        source=source(headers),
        error=error or str(headers.get(ERROR, "")),
    )
