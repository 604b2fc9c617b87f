"""A message in the hands of who took it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from coordination.queues.types import Taken, moment

if TYPE_CHECKING:
    from coordination.queues.api import Queue

_UNREAD: Final = object()
_DECODER = json.JSONDecoder()


class Delivery:
    """One attempt at one message: it is this taker's until `trusted_until`, or it is settled."""

    def __init__(self, queue: Queue, taken: Taken, *, trusted_until: float) -> None:
        self.queue = queue
        self.trusted_until = trusted_until
        """By this process's monotonic clock, counted from before it was asked for."""
        self.settled = False
        """Whether it was acked, nacked or rejected through this object."""
        self.lost = False
        """Whether it is known to be somebody else's by now."""
        self._taken = taken
        self._body: Any = _UNREAD

    @property
    def id(self) -> str:
        """Of the message: the same with every attempt."""
        return self._taken.id

    @property
    def receipt(self) -> str:
        """Proof that this attempt is this taker's. It may be sent to another process."""
        return self._taken.receipt

    @property
    def attempts(self) -> int:
        """How often the message was taken, this time included."""
        return self._taken.attempts

    @property
    def body(self) -> Any:
        """What was published."""
        # Not a cached_property: that takes a lock, which takes longer than the rest.
        if self._body is _UNREAD:
            self._body = _read(self._taken.body)
        return self._body

    @property
    def headers(self) -> Mapping[str, Any]:
        """What was published with it."""
        return MappingProxyType(json.loads(self._taken.headers))

    @property
    def priority(self) -> int:
        """From 0 to 9, the highest."""
        return self._taken.priority

    @property
    def group(self) -> str | None:
        """Of which one is taken at a time, in order."""
        return self._taken.group or None

    @property
    def suspect(self) -> bool:
        """Whether its last taker vanished with it. It comes alone, since it may have killed it."""
        return self._taken.suspect

    @property
    def published_at(self) -> datetime:
        """By the store's clock."""
        return moment(self._taken.published_us)

    @property
    def expires_at(self) -> datetime | None:
        """When it is of no use any more."""
        return moment(self._taken.expires_us) if self._taken.expires_us else None

    @property
    def source(self) -> str | None:
        """Of a dead letter: the queue it died in."""
        return self._taken.source or None

    @property
    def error(self) -> str | None:
        """What went wrong the last time."""
        return self._taken.error or None

    def ack(self) -> None:
        """It is done. Raises StaleReceipt when it was not this taker's any more."""
        self.queue.ack(self)
        self.settled = True

    def nack(self, *, delay: Any = None, error: object = "") -> None:
        """This attempt failed: again after `delay` seconds, or dead after the last attempt.

        Without a delay the pause grows with each attempt. Raises as `ack`.
        """
        self.queue.nack(self, delay=delay, error=error)
        self.settled = True

    def reject(self, *, error: object = "") -> None:
        """No attempt will help: to the dead letters. Raises as `ack`."""
        self.queue.reject(self, error=error)
        self.settled = True

    def extend(self, seconds: Any = None) -> None:
        """Keep it for `seconds` from now, the queue's visibility by default. Raises as `ack`."""
        self.queue.extend(self, seconds=seconds)

    async def aack(self) -> None:
        """As `ack`."""
        await self.queue.aack(self)
        self.settled = True

    async def anack(self, *, delay: Any = None, error: object = "") -> None:
        """As `nack`."""
        await self.queue.anack(self, delay=delay, error=error)
        self.settled = True

    async def areject(self, *, error: object = "") -> None:
        """As `reject`."""
        await self.queue.areject(self, error=error)
        self.settled = True

    async def aextend(self, seconds: Any = None) -> None:
        """As `extend`."""
        await self.queue.aextend(self, seconds=seconds)

    def __repr__(self) -> str:
        return f"<Delivery {self.id} of {self.queue.name}, attempt {self.attempts}>"


def _read(body: str) -> Any:
    """The value of a text. What this project writes has no space around it; others' may."""
    try:
        value, end = _DECODER.raw_decode(body)
    except json.JSONDecodeError:
        return json.loads(body)
    return value if end == len(body) else json.loads(body)
