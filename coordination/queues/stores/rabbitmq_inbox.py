"""What RabbitMQ has delivered to this process of one queue: messages nobody took yet, and those in
hand with their leases.

RabbitMQ gives out as many as it was granted, so no more is granted than was asked for, and what
nobody asks for any more goes back. It knows no leases: they are kept here, by the monotonic clock,
and end for all at once when the process does.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from coordination.connections.rabbitmq import (
    Answer,
    Arrived,
    Channel,
    RabbitMQRefused,
    RabbitMQStore,
    Role,
    Steps,
    Wire,
)
from coordination.exceptions import StoreUnavailable
from coordination.locks.bells import Bells
from coordination.queues.stores import rabbitmq_topology as topology
from coordination.queues.types import Declaration

IDLE_S = 5.0
"""Messages that nobody asked for during this go back."""
FILL_S = 0.25
"""How long to wait for messages that the server has and did not send yet."""
RETURN_S = 0.05
"""How long a message that goes back may be seen nowhere."""


T = TypeVar("T")


class Held(NamedTuple):
    """One delivery."""

    channel: Channel
    message: Arrived
    id: str
    """Its own, or made up for this delivery of a message that has none."""


class _Taken:
    __slots__ = ("held", "until")

    def __init__(self, held: Held, until: float) -> None:
        self.held, self.until = held, until


class Inbox:
    """Of one queue, for all threads of the process."""

    def __init__(self, store: RabbitMQStore, queue: Declaration, bells: Bells) -> None:
        self.queue = queue
        self._store = store
        self._bells = bells
        self._mutex = threading.Lock()
        self._filling = threading.Lock()
        self._ready: deque[Held] = deque()
        self._claimed: dict[str, tuple[float, list[Held]]] = {}
        """By op: those of a call whose answer was lost, until it is made again."""
        self._taken: dict[str, _Taken] = {}
        self._waiters: dict[str, float] = {}
        self._channel: Channel | None = None
        self._consumers: list[str] = []
        self._credit = 0
        self._asked_at = 0.0
        self._gave_back_at = 0.0

    # Taking.

    def take(self, op: str, count: int, *, stay_s: float, deadline_ms: int) -> list[Held]:
        """Up to `count`; `stay_s`: with none, a message within that time rings the bell of `op`.

        Raises StoreUnavailable.
        """
        with self._mutex:
            self._asked_at = time.monotonic()
            if (claimed := self._claimed.pop(op, None)) is not None:
                return claimed[1]
            ready = len(self._ready)
        self._store.later((self, "idle"), self._asked_at + IDLE_S, self._idle)
        if ready < (1 if stay_s else count):
            self._fill(count, deadline_ms)
        with self._mutex:
            found, twins = self._popped(count)
            self._waiters.pop(op, None)
            if stay_s and not found:
                self._waiters[op] = time.monotonic() + stay_s
        self.ack(twins)
        return found

    def leave(self, op: str) -> None:
        """This one waits no longer; if it was rung for, another one is instead."""
        with self._mutex:
            waited = self._waiters.pop(op, None) is not None
            rung = None if waited else self._rung()
        self._ring(rung)

    def _popped(self, count: int) -> tuple[list[Held], list[Held]]:
        """The next messages, and those that another of the same id in hand makes superfluous.

        They were published twice. Should the one in hand not be done, it comes again itself.
        """
        found: list[Held] = []
        twins: list[Held] = []
        ids = {each.held.id for each in self._taken.values()}
        while self._ready and len(found) < count:
            held = self._ready.popleft()
            (twins if held.id in ids else found).append(held)
            ids.add(held.id)
        return found, twins

    def claim(self, op: str, held: Sequence[Held]) -> None:
        """Keep them for another call with this op: it may have begun them."""
        with self._mutex:
            self._claimed[op] = (time.monotonic() + IDLE_S, list(held))

    def put_back(self, held: Sequence[Held]) -> None:
        """They are the next again."""
        with self._mutex:
            self._ready.extendleft(each for each in reversed(held) if each.channel.open)
            rung = self._rung()
        self._ring(rung)

    # What is in hand.

    def hold(self, receipt: str, held: Held, until: float) -> None:
        """It was taken: its lease ends then."""
        with self._mutex:
            self._taken[receipt] = _Taken(held, until)

    def watch(self) -> None:
        """Let leases end in time."""
        with self._mutex:
            ends = min((each.until for each in self._taken.values()), default=None)
        if ends is not None:
            self._store.later((self, "lapse"), ends, self._lapse)

    def extend(self, receipt: str, until: float) -> bool:
        """Let a lease end later; False when it is not in hand."""
        with self._mutex:
            if (taken := self._taken.get(receipt)) is None:
                return False
            taken.until = until
            return True

    def let_go(self, receipt: str) -> Held | None:
        """It is not in hand any more; None when it was not."""
        with self._mutex:
            taken = self._taken.pop(receipt, None)
        return None if taken is None else taken.held

    def ack(self, held: Iterable[Held]) -> None:
        """Tell the server that it may forget them."""
        done = [each for each in held if each.channel.open]

        def send() -> None:
            for each in done:
                each.channel.ack(each.message.tag)

        if done:
            self._store.tell(Role.CONSUME, send)

    def give_back(self, held: Iterable[Held]) -> None:
        """Tell the server to deliver them again, to anybody."""
        back = [each for each in held if each.channel.open]

        def send() -> None:
            for each in back:
                each.channel.give_back(each.message.tag)
            self._gave_back_at = time.monotonic()

        if back:
            self._gave_back_at = time.monotonic()
            self._store.tell(Role.CONSUME, send)

    # Looking.

    def look(self) -> Steps[tuple[int, int]]:
        """How many are ready, and how many are in hand here: an exchange for `consuming`."""
        assert self._channel is not None
        _, count, _ = yield self._channel.look(topology.queue_name(self.queue.name))
        # Those that were on their way meanwhile are here once this is answered.
        yield self._channel.limit(1)
        with self._mutex:
            claimed = sum(len(held) for _, held in self._claimed.values())
            return count + len(self._ready), len(self._taken) + claimed

    def counted(self) -> tuple[int, int]:
        """How many are ready, and how many are in hand here. Raises StoreUnavailable."""

        def steps(wire: Wire) -> Steps[tuple[int, int]]:
            yield from self.consuming(wire)
            return (yield from self.look())

        return self._run(steps, deadline_ms=None)

    def consuming(self, wire: Wire) -> Steps[None]:
        """Have a channel."""
        if self._channel is not None and self._channel.open:
            return
        yield from topology.declare(wire, self.queue, store=self._store.alias)
        channel = yield from wire.channel()
        with self._mutex:
            self._channel, self._credit, self._consumers = channel, 0, []
        channel.delivered = self._arrived
        channel.closed = lambda: self._lost(channel)

    def settle_down(self) -> None:
        """Wait until what was given back is seen by the server's statistics."""
        left_s = self._gave_back_at + RETURN_S - time.monotonic()
        if left_s > 0:
            threading.Event().wait(left_s)

    def empty(self, *, deadline_ms: int) -> None:
        """Give back what nobody took, so that it is the server's to count and to move."""
        if self._channel is None:
            return

        def steps(_wire: Wire) -> Steps[None]:
            yield from self._cancel()

        self._store.run(steps, role=Role.CONSUME, changes=False, deadline_ms=deadline_ms)
        self.settle_down()

    # In the thread of the connections.

    def _fill(self, count: int, deadline_ms: int) -> None:
        due = time.monotonic() + deadline_ms / 1000
        if not self._filling.acquire(timeout=deadline_ms / 1000):
            raise StoreUnavailable(
                f"Queue {self.queue.name!r}: others wait for messages of it, and got no answer.",
                name=self.queue.name,
                store=self._store.alias,
            )
        try:
            left_ms = max(1, int((due - time.monotonic()) * 1000))
            self._run(lambda wire: self._filled(wire, count), deadline_ms=left_ms)
        finally:
            self._filling.release()

    def _run(self, steps: Callable[[Wire], Steps[T]], *, deadline_ms: int | None) -> T:
        anew = topology.again_if_gone(steps)
        try:
            return self._store.run(anew, role=Role.CONSUME, changes=False, deadline_ms=deadline_ms)
        except RabbitMQRefused as error:
            raise StoreUnavailable(
                f"Queue {self.queue.name!r}: {error}",
                name=self.queue.name,
                store=self._store.alias,
                reason=error.reason,
            ) from error

    def _filled(self, wire: Wire, count: int) -> Steps[None]:
        until = time.monotonic() + FILL_S
        while True:
            yield from self.consuming(wire)
            yield from self._grant(count)
            ready, _ = yield from self.look()
            with self._mutex:
                here = len(self._ready)
            if here >= count or ready == here or time.monotonic() > until:
                return

    def _grant(self, count: int) -> Steps[None]:
        """Allow so many deliveries that `count` can be taken, and those who wait get theirs."""
        channel = self._channel
        assert channel is not None
        with self._mutex:
            now = time.monotonic()
            self._waiters = {op: until for op, until in self._waiters.items() if until > now}
            claimed = sum(len(held) for _, held in self._claimed.values())
            lacking = count + len(self._taken) + len(self._waiters) + claimed - self._credit
            if lacking <= 0:
                return
            # A consumer's own limit cannot grow; doubling keeps them few.
            more = max(lacking, self._credit)
            tag = f"concord-{secrets.token_hex(6)}"
            self._credit += more
            self._consumers.append(tag)
        yield channel.limit(more)
        yield channel.consume(topology.queue_name(self.queue.name), tag)

    def _arrived(self, message: Arrived) -> None:
        channel = self._channel
        assert channel is not None
        with self._mutex:
            unwanted = not self._consumers
            if not unwanted:
                id_ = message.id or f"unnamed-{secrets.token_hex(10)}"
                self._ready.append(Held(channel, message, id_))
            rung = self._rung()
        if unwanted:
            channel.give_back(message.tag)
        self._ring(rung)

    def _rung(self) -> str | None:
        """Who is to be woken, with the mutex held."""
        if not self._ready or not self._waiters:
            return None
        op = next(iter(self._waiters))
        del self._waiters[op]
        return op

    def _ring(self, op: str | None) -> None:
        if op is not None:
            self._bells.ring(op)

    def _lost(self, channel: Channel) -> None:
        """The server gives all of it to somebody else, or to us again."""
        with self._mutex:
            if self._channel is not channel:
                return
            self._channel, self._credit, self._consumers = None, 0, []
            self._ready.clear()
            self._claimed.clear()
            self._taken.clear()
            waiters, self._waiters = list(self._waiters), {}
        for op in waiters:
            self._bells.ring(op)

    def _lapse(self) -> None:
        now = time.monotonic()
        with self._mutex:
            ended = [receipt for receipt, each in self._taken.items() if each.until <= now]
            back = [self._taken.pop(receipt).held for receipt in ended]
        for each in back:
            each.channel.give_back(each.message.tag)
        if back:
            self._gave_back_at = now
        self.watch()

    def _idle(self) -> None:
        now = time.monotonic()
        with self._mutex:
            asked_at = self._asked_at
            over = [op for op, (until, _) in self._claimed.items() if until <= now]
            for op in over:
                self._ready.extend(self._claimed.pop(op)[1])
            kept = bool(self._ready or self._claimed or self._consumers)
        if now < asked_at + IDLE_S:
            self._store.later((self, "idle"), asked_at + IDLE_S, self._idle)
        elif kept:
            steps = self._cancel()
            # What is asked last is not waited for.
            next(steps, None)

    def _cancel(self) -> Steps[None]:
        """Want no more, and give back what nobody took."""
        channel = self._channel
        with self._mutex:
            back, self._ready = list(self._ready), deque()
            tags, self._consumers, self._credit = self._consumers, [], 0
        if channel is None or not channel.open:
            return
        answers: list[Answer] = [channel.cancel(tag) for tag in tags]
        for each in back:
            each.channel.give_back(each.message.tag)
        if back:
            self._gave_back_at = time.monotonic()
        # Not `yield from`: a list takes no answers.
        for answer in answers:  # noqa: UP028
            yield answer
