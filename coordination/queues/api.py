"""`queue`: what users call to publish messages, take them and look after them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from coordination import conf, registry
from coordination.exceptions import InvalidArgument, NotSupportedByStore
from coordination.kernel import names
from coordination.queues import asynchronous, operation_ids, options, settling
from coordination.queues.consuming import consume
from coordination.queues.contents import content_of
from coordination.queues.declared import declared, redeclared
from coordination.queues.delivery import Delivery
from coordination.queues.keeping import relied_on
from coordination.queues.message import Message, bare, checked, ids, message
from coordination.queues.operating import Progress, picked, said, swept
from coordination.queues.publishing import publish
from coordination.queues.settling import Receipts, receipts_of
from coordination.queues.store import QueueStore
from coordination.queues.stores import queue_store
from coordination.queues.types import (
    BATCH_MAX,
    KEPT_MS,
    Capability,
    Declaration,
    Seen,
    State,
    Stats,
)
from coordination.queues.waiting import Batch, take
from coordination.threads import refuse_in_event_loop


class Queue:
    """A queue by name; nothing is sent before the first verb."""

    def __init__(self, name: str, *, using: str | None, given: dict[str, Any]) -> None:
        self.name = names.validate_name(name, what="queue name")
        self.store: QueueStore = queue_store(registry.route("queue", name, using=using))
        self._given = options.declared_fields(
            name, given, store=self.store.alias, able=self.store.capabilities
        )

    @property
    def given(self) -> dict[str, Any]:
        """Fields of `Declaration` that were given here."""
        return dict(self._given)

    @property
    def declared(self) -> Declaration:
        """What it is, for everybody who uses it. Raises InvalidArgument if not as given here."""
        return declared(self.store, self.name, self._given)

    def publish(
        self, body: Any, *, op_id: str | None = None, within: str | None = None, **options: Any
    ) -> str:
        """Put a message into the queue; returns its id when the store has it for sure.

        Inside `atomic()` it is published if and only if that commits, on every store.

        Args:
            body: JSON.
            op_id: the same one publishes once, for `OP_ID_TTL`; with something else it is refused.
            within: alias whose `atomic()` it goes with, where several are open.
            options: `headers`: a JSON object to go with it. `priority`: 0 to 9; higher ones are
                taken first. `delay`: seconds for which nobody takes it. `eta`: an aware datetime
                before which nobody takes it. `group`: of one group one is taken at a time, in the
                order of publishing. `dedup_id`: another with the same within `DEDUP_WINDOW` is the
                same message, whose id this returns. `expires`: seconds until it is thrown away.

        Raises InvalidArgument, QueueFull, QueuePaused, Unroutable, NotSupportedByStore,
        StoreUnavailable: nothing was published; OutcomeUnknown.
        """
        # Of a Message that was meant for publish_many this makes a body that is refused.
        one = message(body, options) if options or isinstance(body, Message) else body
        return self.publish_many([one], op_id=op_id, within=within)[0]

    def publish_many(
        self,
        messages: Iterable[Any],
        *,
        op_id: str | None = None,
        within: str | None = None,
    ) -> list[str]:
        """Publish bodies, or `Message(body, **options)`, all or none; at most 1,000 at once."""
        written = list(messages)
        if len(written) > BATCH_MAX:
            raise InvalidArgument(f"at most {BATCH_MAX} messages at once, not {len(written)}.")
        named = op_id is not None
        op = self._op("publish", op_id)
        able, alias = self.store.capabilities, self.store.alias
        batch = [
            checked(each, id_, queue=self.name, store=alias, able=able)
            if isinstance(each, Message)
            else bare(each, id_, queue=self.name)
            for each, id_ in zip(written, ids(op, len(written)), strict=True)
        ]
        if not batch:
            return []
        kept_ms = conf.current().op_id_ttl_ms if named else KEPT_MS
        return publish(
            self.store,
            lambda: self.declared,
            batch,
            op=op,
            kept_ms=kept_ms,
            content=content_of(batch) if named else "",
            within=within,
            told=(self.name, self._given),
        )

    def reserve(self, batch: int = 1, wait: Any = 0, *, op_id: str | None = None) -> list[Delivery]:
        """Take up to `batch` messages, waiting for the first up to `wait` seconds (None: for ever).

        Each is this process's for the queue's visibility, and has to be settled in it. The same
        `op_id` gets the same ones again, their leases begun anew; what is somebody else's by then
        is `lost`.
        """
        if wait != 0:
            refuse_in_event_loop("reserve()", "areserve()")
        return self._reserve(options.batch(batch), options.wait_s(wait), op_id)

    def _reserve(self, count: int, wait_s: float | None, op_id: str | None) -> list[Delivery]:
        op = self._op("reserve", op_id)
        found = take(self.store, self.declared, op=op, count=count, wait_s=wait_s)
        return self._taken(found, repeats=op_id is not None)

    def _taken(self, found: Batch, *, repeats: bool) -> list[Delivery]:
        until = found.trusted_until
        taken = [Delivery(self, each, trusted_until=until) for each in found.taken]
        if repeats:
            relied_on(self, taken)
        return taken

    def consume(self, batch: int = 1, wait: Any = None) -> Iterator[Delivery]:
        """Messages one after the other, taken by the `batch`; ends after `wait` idle seconds.

        What was taken and not come to yet when the loop is left goes back at once, uncounted.
        """
        return consume(self, count=options.batch(batch), wait_s=options.wait_s(wait))

    def run(
        self,
        handler: Callable[[Delivery], object],
        *,
        concurrency: int = 4,
        stop: threading.Event | None = None,
    ) -> None:
        """Let `handler` work on messages until `stop` is set, or SIGTERM or SIGINT comes.

        Its return acks, its exception is a failed attempt. The lease is kept alive meanwhile. What
        is under way when it is to stop is completed first.
        """
        from coordination.queues.running import Runner

        workers = options.count(concurrency, what="concurrency", most=BATCH_MAX)
        Runner(self, handler, concurrency=workers).run(stop)

    def ack(self, deliveries: Receipts) -> None:
        """They are done: a delivery or receipt, or several. Raises StaleReceipt, naming those."""
        self._settle(settling.acked(receipts_of(deliveries)))

    def nack(self, deliveries: Receipts, *, delay: Any = None, error: object = "") -> None:
        """These attempts failed; see `Delivery.nack`. Raises StaleReceipt, naming those."""
        receipts = receipts_of(deliveries)
        self._settle(settling.failed(self.declared, receipts, delay=delay, error=error))

    def reject(self, deliveries: Receipts, *, error: object = "") -> None:
        """No attempt will help: to the dead letters. Raises StaleReceipt, naming those."""
        receipts = receipts_of(deliveries)
        self._settle(settling.rejected(self.declared, receipts, error=error))

    def extend(self, deliveries: Receipts, *, seconds: Any = None) -> None:
        """Keep them for `seconds` from now, or for its visibility. Raises StaleReceipt."""
        self.require(Capability.EXTEND)
        lease_ms = self.declared.visibility_ms
        if seconds is not None:
            lease_ms = options.lease_ms(seconds, what="seconds")
        receipts = receipts_of(deliveries)
        settling.extend(self.store, self.declared, receipts, lease_ms=lease_ms)

    def peek(self, limit: int = 10, *, state: str = State.READY) -> list[Seen]:
        """Look at the first messages that are "ready", "delayed" or "in_flight"."""
        self.require(Capability.PEEK)
        options.count(limit, what="limit", most=BATCH_MAX)
        if state not in set(State):
            raise InvalidArgument(f"state must be one of {', '.join(State)}, not {state!r:.40}.")
        return self.store.peek(self.declared, state=State(state), limit=limit)

    def move(
        self,
        to: str,
        *,
        only: str | None = None,
        limit: int | None = None,
        actor: str = "",
        reason: str = "",
        progress: Progress | None = None,
    ) -> int:
        """Move what is ready or delayed now to another queue of the same store; returns how many.

        `only` the message with this id; `progress` is told after each step how many it has been.
        """
        self.require(Capability.MOVE if only is None else Capability.PICK)
        if to == self.name:
            raise InvalidArgument(f"queue {to!r} is where the messages are already.", name=to)
        return self._move(self.name, to, only, limit, said(actor, reason), progress)

    def redrive(
        self,
        *,
        only: str | None = None,
        limit: int | None = None,
        actor: str = "",
        reason: str = "",
        progress: Progress | None = None,
    ) -> int:
        """Give its dead letters another chance, attempts counted anew; as `move`."""
        if only is not None:
            self.require(Capability.PICK)
        dead_letter = self.declared.dead_letter
        if dead_letter is None:
            raise InvalidArgument(f"queue {self.name!r} has no dead letters.", name=self.name)
        words = said(actor, reason)
        return self._move(dead_letter, self.name, only, limit, words, progress, died_in=self.name)

    def purge(
        self,
        *,
        only: str | None = None,
        limit: int | None = None,
        actor: str = "",
        reason: str = "",
        progress: Progress | None = None,
    ) -> int:
        """Throw away what is ready or delayed now, not what is taken; as `move`."""
        words, store = said(actor, reason), self.store
        if only is not None:
            self.require(Capability.PICK)
            return picked(store, self.declared, None, only, died_in=None, said=words)
        queue = self.declared
        return swept(
            lambda op, size, cursor, deadline_ms: store.purge(
                queue, op=op, limit=size, cursor=cursor, said=words, deadline_ms=deadline_ms
            ),
            store=store,
            limit=limit,
            progress=progress,
        )

    def pause(
        self,
        *,
        publishing: bool = True,
        consuming: bool = True,
        actor: str = "",
        reason: str = "",
    ) -> None:
        """Refuse publications (QueuePaused) and give out nothing; what is taken may be settled."""
        self.require(Capability.PAUSE)
        words = said(actor, reason)
        self.store.pause(
            self.declared, publishing=bool(publishing), consuming=bool(consuming), said=words
        )

    def resume(self, *, actor: str = "", reason: str = "") -> None:
        """Go on after `pause`."""
        self.pause(publishing=False, consuming=False, actor=actor, reason=reason)

    def stats(self) -> Stats:
        """How it stands, by its store's own word."""
        return self.store.stats(self.declared)

    def redeclare(self, **given: Any) -> Declaration:
        """Change what it is, for everybody: visibility, max_attempts, dead_letter, max_length."""
        alias, able = self.store.alias, self.store.capabilities
        fields = options.declared_fields(self.name, given, store=alias, able=able)
        found = redeclared(self.store, self.name, fields)
        self._given |= fields
        return found

    # Twins of the verbs of a request's path.

    async def apublish(self, body: Any, **given: Any) -> str:
        """As `publish`."""
        return await asynchronous.in_thread(lambda: self.publish(body, **given), store=self.store)

    async def apublish_many(self, messages: Iterable[Any], **given: Any) -> list[str]:
        """As `publish_many`."""
        return await asynchronous.in_thread(
            lambda: self.publish_many(messages, **given), store=self.store
        )

    async def areserve(
        self, batch: int = 1, wait: Any = 0, *, op_id: str | None = None
    ) -> list[Delivery]:
        """As `reserve`. What a task that is cancelled has taken by then goes back, uncounted."""
        count, wait_s = options.batch(batch), options.wait_s(wait)
        op = self._op("reserve", op_id)
        declared = await asynchronous.in_thread(lambda: self.declared, store=self.store)
        found = await asynchronous.take(self.store, declared, op=op, count=count, wait_s=wait_s)
        if op_id is None:
            return self._taken(found, repeats=False)
        return await asynchronous.in_thread(
            lambda: self._taken(found, repeats=True), store=self.store
        )

    async def aack(self, deliveries: Receipts) -> None:
        """As `ack`."""
        await asynchronous.in_thread(lambda: self.ack(deliveries), store=self.store)

    async def anack(self, deliveries: Receipts, *, delay: Any = None, error: object = "") -> None:
        """As `nack`."""
        await asynchronous.in_thread(
            lambda: self.nack(deliveries, delay=delay, error=error), store=self.store
        )

    async def areject(self, deliveries: Receipts, *, error: object = "") -> None:
        """As `reject`."""
        await asynchronous.in_thread(lambda: self.reject(deliveries, error=error), store=self.store)

    async def aextend(self, deliveries: Receipts, *, seconds: Any = None) -> None:
        """As `extend`."""
        await asynchronous.in_thread(
            lambda: self.extend(deliveries, seconds=seconds), store=self.store
        )

    def _op(self, verb: str, op_id: str | None) -> str:
        if op_id is None:
            return operation_ids.new()
        return operation_ids.of(verb, op_id, queue=self.name, store=self.store.alias)

    def _settle(self, settlements: list[Any]) -> None:
        settling.settle(self.store, self.declared, settlements)

    def _move(
        self,
        source: str,
        to: str,
        only: str | None,
        limit: int | None,
        words: Any,
        progress: Progress | None,
        *,
        died_in: str | None = None,
    ) -> int:
        store = self.store
        origin, target = declared(store, source, {}), declared(store, to, {})
        if only is not None:
            return picked(store, origin, target, only, died_in=died_in, said=words)
        return swept(
            lambda op, size, cursor, deadline_ms: store.move(
                origin,
                target,
                op=op,
                limit=size,
                cursor=cursor,
                died_in=died_in,
                said=words,
                deadline_ms=deadline_ms,
            ),
            store=store,
            limit=limit,
            progress=progress,
        )

    def require(self, capability: Capability) -> None:
        """Raises NotSupportedByStore when the store cannot do it."""
        if capability not in self.store.capabilities:
            raise NotSupportedByStore(
                f"Store {self.store.alias!r} cannot {capability} messages of a queue.",
                name=self.name,
                store=self.store.alias,
            )

    def __repr__(self) -> str:
        return f"<Queue {self.name} on {self.store.alias}>"


def queue(name: str, *, using: str | None = None, **given: Any) -> Queue:
    r"""A queue by name; nothing is sent before its first verb.

    What is not given is as it was declared, by the first who used the queue, or its default. What
    is given must be the same for everybody (InvalidArgument).

    Args:
        name: 1 to 200 bytes, without spaces and `{}*?[]\`.
        using: alias of its store; ROUTES by default.
        given: `visibility`: seconds that a message belongs to who took it, QUEUES["VISIBILITY"] by
            default. `max_attempts`: attempts after which it is a dead letter,
            QUEUES["MAX_ATTEMPTS"] by default. `dead_letter`: the queue that keeps dead letters,
            "<name>.dlq" by default; None: none dies, it is tried again for ever. `max_length`:
            messages that it may hold (QueueFull), None by default: as many as there is room for.

    Raises InvalidName, InvalidArgument, NotSupportedByStore.
    """
    return Queue(name, using=using, given=given)
