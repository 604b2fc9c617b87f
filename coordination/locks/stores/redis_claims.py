"""Taking up a lock that Redis handed over, before Redis answers that it knows of this.

The message that wakes a waiter tells all of its lease, which lasts for a moment: CLAIM_MS of
`head.lua`. The work begins with that, while a renewal makes a whole lease of it. Its answer is read
later, so that nobody waits for it; a claim of which Redis never heard ends by itself.
"""

from typing import Any

from coordination.connections.redis import Begun
from coordination.locks.taken import Asked, Taken
from coordination.locks.types import Held

LEFT_S_MIN = 0.5
"""Of the moment, so that the work may begin."""


class RedisClaim:
    """A renewal that was sent."""

    def __init__(self, begun: Begun, *, sent_at: float) -> None:
        """`sent_at` is the monotonic time before it was sent."""
        self._begun = begun
        self._sent_at = sent_at

    def answer(self, *, patience_s: float) -> Taken | None:
        """The whole lease, or None when no such answer came in time."""
        held = held_of(self._begun.reply(patience_s))
        return None if held is None else Taken(held, self._sent_at)


def handed(told: bytes, asked: Asked, *, now: float) -> Taken | None:
    """The lease that a message tells of, unless it came too late to begin with. `now`: monotonic.

    The message may have been long under way. That it was sent after the last answer, and how long
    after by the clock of Redis, bounds that by a clock of ours; that it arrived bounds it, too,
    should the clock of Redis have been set in between.
    """
    held = held_of(told) if told else None
    if held is None:
        return None
    since_answer_s = (held.now_us - asked.answer.now_us) / 1_000_000
    if since_answer_s <= 0:
        return None  # the answer knows what became of it
    begun_at = min(now, asked.sent_at + since_answer_s)
    lease = Taken(held, begun_at)
    return lease if left_s(lease, now=now) >= LEFT_S_MIN else None


def left_s(lease: Taken, *, now: float) -> float:
    """How much of a lease is left at a monotonic time."""
    return lease.sent_at + (lease.held.until_us - lease.held.now_us) / 1_000_000 - now


def held_of(reply: Any) -> Held | None:
    """What `told_held` of `head.lua` says; None for any other reply."""
    if not isinstance(reply, bytes):
        return None
    token, since, until, now, revoked, index = reply.split(b" ")
    return Held(
        token=int(token),
        since_us=int(since),
        until_us=int(until),
        now_us=int(now),
        revoked_at_us=int(revoked) if revoked else None,
        index=int(index),
    )
