"""Counting within a time: how much it was lately, and whether more may pass.

What is counted is gone with its time, so it leaves no event.
"""

import secrets
from dataclasses import dataclass
from functools import partial
from typing import Any

from coordination.counters.arguments import integer, op_id_of
from coordination.counters.asynchronous import in_thread
from coordination.counters.stores import window_store
from coordination.counters.types import Counted, Span
from coordination.exceptions import InvalidArgument
from coordination.kernel import durations
from coordination.kernel.arguments import INTEGER_MAX

STEPS = 60
"""Of a sliding window."""
PER_MS_MAX = 366 * 86_400_000


class Window:
    """How much was counted within the last time."""

    def __init__(self, span: Span, *, store: str) -> None:
        self.name = span.name
        self.store = store
        self._span = span
        self._windows = window_store(store)

    def add(self, amount: int = 1, *, op_id: str | None = None) -> int:
        """Count `amount`; returns how much is counted in the window now."""
        return self._count(_positive(amount, self.name), INTEGER_MAX, op_id).counted

    def get(self) -> int:
        """How much is counted in the window."""
        return self._windows.count(self._span, 0, limit=INTEGER_MAX, id_="").counted

    async def aadd(self, amount: int = 1, *, op_id: str | None = None) -> int:
        """As `add`."""
        return await in_thread(partial(self.add, amount, op_id=op_id), store=self._windows)

    async def aget(self) -> int:
        """As `get`."""
        return await in_thread(self.get, store=self._windows)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} at {self.store}>"

    def _count(self, amount: int, limit: int, op_id: str | None) -> Counted:
        given = op_id is not None
        id_ = op_id_of(op_id, name=self.name) if given else secrets.token_hex(8)
        counted = self._windows.count(self._span, amount, limit=limit, id_=id_, op_id=given)
        if counted.said != f"{amount}/{limit}":
            raise InvalidArgument(
                f"op_id {id_!r:.80} was used before for another call on {self.name!r}: amount and "
                f"limit {counted.said}. Nothing was counted.",
                name=self.name,
                store=self.store,
            )
        return counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Whether it may pass; true in a condition if so."""

    allowed: bool
    remaining: int
    """How much more may pass now."""
    retry_after: float
    """Seconds until as much may pass, if nobody else comes meanwhile; 0 when it is allowed."""

    def __bool__(self) -> bool:
        return self.allowed


class RateLimit(Window):
    """At most so much within a time; what does not pass is not counted."""

    def __init__(self, span: Span, *, limit: int, store: str) -> None:
        super().__init__(span, store=store)
        self.limit = limit

    def hit(self, amount: int = 1, *, op_id: str | None = None) -> Admission:
        """Let `amount` pass, if it may. With the `op_id` of an earlier call: that call's answer."""
        _positive(amount, self.name)
        if amount > self.limit:
            raise InvalidArgument(
                f"amount of rate limit {self.name!r} is {amount}, which never passes a limit of "
                f"{self.limit}.",
                name=self.name,
            )
        counted = self._count(amount, self.limit, op_id)
        return Admission(
            allowed=counted.passed,
            remaining=max(0, self.limit - counted.counted),
            retry_after=counted.wait_us / 1_000_000,
        )

    async def ahit(self, amount: int = 1, *, op_id: str | None = None) -> Admission:
        """As `hit`."""
        return await in_thread(partial(self.hit, amount, op_id=op_id), store=self._windows)


def window_of(name: str, *, per: Any, sliding: bool, store: str) -> Window:
    """A window of a name. Raises InvalidName, InvalidArgument, NotSupportedByStore."""
    return Window(_span(name, per, sliding), store=store)


def limit_of(name: str, *, limit: Any, per: Any, sliding: bool, store: str) -> RateLimit:
    """A rate limit of a name. Raises InvalidName, InvalidArgument, NotSupportedByStore."""
    span = _span(name, per, sliding)
    return RateLimit(span, limit=_positive(limit, name, what="limit"), store=store)


def _span(name: str, per: object, sliding: object) -> Span:
    per_ms = durations.to_ms(per, what="per")
    if per_ms > PER_MS_MAX:
        raise InvalidArgument(f"per must be a year at most, not {per!r:.80} seconds.", name=name)
    if not isinstance(sliding, bool):
        raise InvalidArgument(f"sliding must be True or False, not {sliding!r:.80}.", name=name)
    if sliding:
        # Rounded up: one that were shorter than asked for would let too many pass.
        return Span(name, -(-per_ms * 1_000 // STEPS), STEPS)
    return Span(name, per_ms * 1_000, 0)


def _positive(amount: object, name: str, *, what: str = "amount") -> int:
    number = integer(amount, what=what, name=name)
    if number < 1:
        raise InvalidArgument(f"{what} of {name!r} must be 1 or more, not {number}.", name=name)
    return number
