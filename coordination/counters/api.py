"""`counter`: what users call to count, and to have what they counted."""

import secrets
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from coordination import registry
from coordination.counters.arguments import (
    BATCH_MAX,
    HISTORY_MAX,
    integer,
    op_id_of,
    rules_of,
    shown,
)
from coordination.counters.asynchronous import in_thread
from coordination.counters.holding import exceeded
from coordination.counters.stores import counter_store
from coordination.counters.types import Answer, Change, Ending, Past, Reading, Rules, Verb
from coordination.counters.windows import RateLimit, Window, limit_of, window_of
from coordination.exceptions import (
    BoundExceeded,
    CoordinationError,
    InvalidArgument,
    NotSupportedByStore,
)
from coordination.intervening.reasons import require_actor, require_reason
from coordination.kernel import names


class Counter:
    """A whole number by name, within ±(2^53-1). Threads may share it.

    Every verb raises StoreUnavailable (not applied) or OutcomeUnknown within the store's deadline;
    those that write BoundExceeded, when nothing was written, and InvalidArgument.
    """

    def __init__(self, rules: Rules, *, store: str) -> None:
        self.name = rules.name
        self.store = store
        self._rules = rules
        self._counters = counter_store(store)
        self._cell = self._counters.cell(rules)

    @property
    def rules(self) -> Rules:
        """What it was declared with."""
        return self._rules

    def get(self) -> int:
        """The value."""
        return self._cell.read().value

    def read(self) -> Reading:
        """The value and its version: how often it was written."""
        self._refuse_shards("read()")
        return self._cell.read()

    def add(self, amount: int = 1, *, op_id: str | None = None) -> int:
        """Add `amount`, which may be negative; returns the new value.

        With the `op_id` of an earlier call nothing is added; it gets that call's answer.
        """
        number = integer(amount, what="amount", name=self.name)
        # The call of most programs, so it is made here and not by `_change`.
        if op_id is None:
            change = Change(Verb.ADD, secrets.token_hex(8), number)
        else:
            change = Change(Verb.ADD, op_id_of(op_id, name=self.name), number, op_id=True)
        answer = self._cell.change(change)
        if answer.ending is not Ending.DONE or op_id is not None:
            self._refuse(change, answer)
        return answer.value

    def add_many(
        self, amounts: Iterable[int | tuple[int, str]]
    ) -> list[int | BoundExceeded | CoordinationError]:
        """Add each of `amounts`, an int or a pair of one and its op id, in one round trip.

        There may be 1,000 of them. Each is applied by itself: where one was refused, its error
        stands in its place.
        """
        changes = [self._added(each) for each in amounts]
        if len(changes) > BATCH_MAX:
            raise InvalidArgument(
                f"add_many takes {BATCH_MAX} amounts at most, not {len(changes)}.", name=self.name
            )
        answers = self._cell.change_many(changes) if changes else []
        return [
            self._value_or_error(change, answer)
            for change, answer in zip(changes, answers, strict=True)
        ]

    def compare_and_set(self, expected: int, new: int, *, op_id: str | None = None) -> bool:
        """Write `new` if the value is `expected`; else nothing is written, and it is False."""
        self._refuse_shards("compare_and_set()")
        integer(expected, what="expected", name=self.name)
        return self._change(Verb.COMPARE_AND_SET, new, op_id, expected).ending is Ending.DONE

    def set(self, value: int, *, op_id: str | None = None) -> int:
        """Write a value; returns it."""
        return self._change(Verb.SET, value, op_id).value

    def reset(self, *, op_id: str | None = None) -> int:
        """Write `initial`; returns it."""
        return self._change(Verb.RESET, self._rules.initial, op_id).value

    def adjust(self, amount: int, *, actor: str, reason: str, op_id: str | None = None) -> int:
        """`add` by hand: the event keeps who did it and why. Raises InvalidArgument without."""
        by_hand = _by_hand(actor, reason)
        integer(amount, what="amount", name=self.name)
        return self._change(Verb.ADD, amount, op_id, by_hand=by_hand).value

    def reset_from(
        self, expected: int | None, *, actor: str, reason: str, op_id: str | None = None
    ) -> bool:
        """`reset` by hand if the value is `expected`; else nothing is written, and it is False.

        None is any value, and all that is allowed with shards. The event keeps who and why.
        """
        by_hand = _by_hand(actor, reason)
        if expected is not None:
            self._refuse_shards("reset_from()")
            integer(expected, what="expected", name=self.name)
        answer = self._change(Verb.RESET, self._rules.initial, op_id, expected, by_hand=by_hand)
        return answer.ending is Ending.DONE

    def history(self, limit: int = 100) -> Sequence[Past]:
        """The last changes that the store still knows, the newest first."""
        if type(limit) is not int or not 1 <= limit <= HISTORY_MAX:
            raise InvalidArgument(
                f"limit must be from 1 to {HISTORY_MAX}, not {shown(limit)}.", name=self.name
            )
        return self._cell.history(limit)

    # The same from asyncio. A call whose task is cancelled may still be applied.

    async def aget(self) -> int:
        """As `get`."""
        return await in_thread(self.get, store=self._counters)

    async def aread(self) -> Reading:
        """As `read`."""
        return await in_thread(self.read, store=self._counters)

    async def aadd(self, amount: int = 1, *, op_id: str | None = None) -> int:
        """As `add`."""
        return await in_thread(partial(self.add, amount, op_id=op_id), store=self._counters)

    async def aadd_many(
        self, amounts: Iterable[int | tuple[int, str]]
    ) -> list[int | BoundExceeded | CoordinationError]:
        """As `add_many`."""
        return await in_thread(partial(self.add_many, list(amounts)), store=self._counters)

    async def acompare_and_set(self, expected: int, new: int, *, op_id: str | None = None) -> bool:
        """As `compare_and_set`."""
        call = partial(self.compare_and_set, expected, new, op_id=op_id)
        return await in_thread(call, store=self._counters)

    async def aset(self, value: int, *, op_id: str | None = None) -> int:
        """As `set`."""
        return await in_thread(partial(self.set, value, op_id=op_id), store=self._counters)

    async def areset(self, *, op_id: str | None = None) -> int:
        """As `reset`."""
        return await in_thread(partial(self.reset, op_id=op_id), store=self._counters)

    def __repr__(self) -> str:
        return f"<Counter {self.name} at {self.store}>"

    def _added(self, each: object) -> Change:
        amount, op_id = each if isinstance(each, tuple) and len(each) == 2 else (each, None)
        number = integer(amount, what="amount", name=self.name)
        if op_id is None:
            return Change(Verb.ADD, secrets.token_hex(8), number)
        return Change(Verb.ADD, op_id_of(op_id, name=self.name), number, op_id=True)

    def _change(
        self,
        verb: Verb,
        number: int,
        op_id: str | None,
        expected: int | None = None,
        *,
        by_hand: tuple[str, str] = ("", ""),
    ) -> Answer:
        integer(number, what="the new value", name=self.name)
        given = op_id is not None
        id_ = op_id_of(op_id, name=self.name) if given else secrets.token_hex(8)
        actor, reason = by_hand
        change = Change(
            verb, id_, number, expected, op_id=given, actor=actor, reason=reason.strip()
        )
        answer = self._cell.change(change)
        if given or answer.ending is Ending.EXCEEDED:
            self._refuse(change, answer)
        return answer

    def _value_or_error(
        self, change: Change, answer: Answer | CoordinationError
    ) -> int | CoordinationError:
        if isinstance(answer, CoordinationError):
            return answer
        try:
            self._refuse(change, answer)
        except CoordinationError as error:
            return error
        return answer.value

    def _refuse(self, change: Change, answer: Answer) -> None:
        if answer.said != change.said:
            raise InvalidArgument(
                f"op_id {change.id!r:.80} was used before for another change of counter "
                f"{self.name!r}: {answer.said}, not {change.said}. Nothing was written.",
                name=self.name,
                store=self.store,
            )
        if answer.ending is Ending.EXCEEDED:
            if change.verb is Verb.ADD:
                stands = Reading(answer.value, answer.version)
                raise exceeded(self._rules, change.number, stands, store=self.store)
            low, high = self._rules.lowest, self._rules.highest
            raise BoundExceeded(
                f"Counter {self.name!r} stands at {answer.value}: {change.verb} {change.number} "
                f"would not leave it from {low} to {high}. Nothing was written.",
                name=self.name,
                store=self.store,
                reason=f"from {low} to {high}",
            )

    def _refuse_shards(self, what: str) -> None:
        if self._rules.shards > 1:
            raise NotSupportedByStore(
                f"{what} of counter {self.name!r}: with {self._rules.shards} shards there is no "
                "one value that many could compare; use get().",
                name=self.name,
                store=self.store,
            )


def _by_hand(actor: str, reason: str) -> tuple[str, str]:
    require_actor(actor)
    require_reason(reason)
    return actor, reason


class CounterFunction:
    """`counter(name, …)`; `counter.window` and `counter.rate_limit` count within a time."""

    def __call__(
        self,
        name: str,
        *,
        initial: int = 0,
        minimum: int | None = None,
        maximum: int | None = None,
        shards: int = 1,
        using: str | None = None,
    ) -> Counter:
        r"""A counter by name; nothing is sent before its first verb.

        Args:
            name: 1 to 200 bytes, without spaces and `{}*?[]\`.
            initial: its value when nobody has written it.
            minimum: what would leave it below raises BoundExceeded; None is -(2^53-1).
            maximum: what would leave it above raises BoundExceeded; None is 2^53-1.
            shards: over how many rows a store that locks rows may spread it, so that those who add
                at once do not wait for each other; then without bounds, `compare_and_set`, `read`.
            using: alias of its store; ROUTES by default.

        Raises InvalidName, InvalidArgument, NotSupportedByStore.
        """
        store = self._store(name, using)
        rules = rules_of(
            name, initial=initial, minimum=minimum, maximum=maximum, shards=shards, store=store
        )
        return Counter(rules, store=store)

    def window(
        self, name: str, *, per: Any, sliding: bool = False, using: str | None = None
    ) -> Window:
        """How much was counted within `per` seconds, on Redis.

        A fixed window begins anew at each multiple of `per` on the store's clock; a `sliding` one
        moves on in steps of a sixtieth.
        """
        return window_of(name, per=per, sliding=sliding, store=self._store(name, using))

    def rate_limit(
        self, name: str, *, limit: int, per: Any, sliding: bool = False, using: str | None = None
    ) -> RateLimit:
        """At most `limit` within `per` seconds, on Redis; windows as for `window`.

        A sliding one lets no more than `limit` pass in any `per` seconds whatsoever.
        """
        store = self._store(name, using)
        return limit_of(name, limit=limit, per=per, sliding=sliding, store=store)

    def _store(self, name: object, using: str | None) -> str:
        return registry.route(
            "counter", names.validate_name(name, what="counter name"), using=using
        )


counter = CounterFunction()
