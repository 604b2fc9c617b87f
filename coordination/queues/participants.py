"""`concord.queue.publish`: publications as a branch of a transaction.

In PostgreSQL they are part of the prepared branch. Elsewhere prepare holds room for them, so that
the commit, which publishes them, meets neither a bound nor a pause; an abort lets go of it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from coordination import conf, registry
from coordination.connections.database import ConnectionLost
from coordination.exceptions import InvalidArgument, QueueFull, QueuePaused, StoreUnavailable
from coordination.failpoints import hit
from coordination.kernel.nearest import unknown_message
from coordination.kernel.settings import DATABASE
from coordination.queues import declared as declarations
from coordination.queues import declaring, options
from coordination.queues.api import Queue
from coordination.queues.api import queue as queue_of
from coordination.queues.holding import QueueHolds
from coordination.queues.message import checked, message
from coordination.queues.stores import queue_store
from coordination.queues.stores.holds import queue_holds
from coordination.queues.stores.postgresql import PostgresQueues
from coordination.queues.types import BATCH_MAX, KEPT_MS, Declaration, Outgoing
from coordination.transactions.branches.holds import (
    remaining_ms,
    require_applied,
    require_cancelled,
    require_held,
)
from coordination.transactions.context import Context
from coordination.transactions.participants import Participant, Place, register
from coordination.transactions.types import Mode

NAME = "concord.queue.publish"
OPTIONS = ("queue", "messages", "using", "declared")


def place(args: Mapping[str, Any]) -> Place:
    """Where the messages are published, each checked as `publish` does; nothing is sent.

    `messages` are dicts of `body` and the options of `publish`, `declared` the options of `queue`.

    Raises InvalidName, InvalidArgument, NotSupportedByStore.
    """
    for option in args:
        if option not in OPTIONS:
            raise InvalidArgument(unknown_message("option", option, OPTIONS), name=NAME)
    written = args.get("messages")
    if "queue" not in args or not isinstance(written, list) or not written:
        raise InvalidArgument(f"participant {NAME!r} needs a queue and messages.", name=NAME)
    if len(written) > BATCH_MAX:
        raise InvalidArgument(f"at most {BATCH_MAX} messages at once, not {len(written)}.")
    found = queue_of(args["queue"], using=args.get("using"), **args.get("declared", {}))
    alias = found.store.alias
    return Place(
        using=registry.settings_of(alias).using
        if registry.settings_of(alias).backend == DATABASE
        else conf.current().transactions.using,
        mode=Mode.XA if queue_holds(alias) is None else Mode.TCC,
        subject=f"{found.name}@{alias}",
        args={
            "queue": found.name,
            "store": alias,
            "declared": dict(found.given),
            "messages": [_told(each, found) for each in written],
        },
    )


def message_id(gid: str, *, queue: str, store: str, number: int) -> str:
    """Of a transaction's message for a queue, the same with every attempt; `number` from 0."""
    whole = f"{gid} {store} {queue} {number}"
    return hashlib.blake2b(whole.encode(), digest_size=12).hexdigest()


def reserve(
    ctx: Context, queue: str, store: str, declared: dict[str, Any], messages: list[dict[str, Any]]
) -> None:
    """Publish within the branch, or hold room. Votes no where the queue refuses."""
    batch, holds = _batch(ctx, queue, store, messages), queue_holds(store)
    try:
        known = _known(store, queue, declared)
        if holds is None:
            _publish(ctx, store, known, batch)
            return
        held = holds.hold(known, batch, branch=ctx.branch, remaining_ms=lambda: remaining_ms(ctx))
    except (QueueFull, QueuePaused, InvalidArgument) as error:
        ctx.vote_no(str(error))
    hit("effect.held")
    require_held(ctx, held)


def confirm(
    ctx: Context, queue: str, store: str, declared: dict[str, Any], messages: list[dict[str, Any]]
) -> None:
    """Publish what room was held for."""
    batch = _batch(ctx, queue, store, messages)
    state = _holds(store).apply(_known(store, queue), batch, branch=ctx.branch)
    hit("effect.applied")
    require_applied(state, what=f"queue {queue!r} on {store!r}")


def cancel(
    ctx: Context, queue: str, store: str, declared: dict[str, Any], messages: list[dict[str, Any]]
) -> None:
    """Let go of it."""
    batch = _batch(ctx, queue, store, messages)
    # By its name alone: what the store says it is may be why the branch voted no.
    state = _holds(store).cancel(_first(queue, declared), batch, branch=ctx.branch)
    hit("effect.cancelled")
    require_cancelled(state, what=f"queue {queue!r} on {store!r}")


def ended(
    ctx: Context, queue: str, store: str, declared: dict[str, Any], messages: list[dict[str, Any]]
) -> None:
    """The barrier remembers it now."""
    _holds(store).forget(_first(queue, declared), branch=ctx.branch)


def seen(queue: str, store: str, declared: dict[str, Any], messages: list[dict[str, Any]]) -> None:
    """Wake those who wait: no NOTIFY goes with what is prepared."""
    found = queue_store(store)
    assert isinstance(found, PostgresQueues)
    found.wake(queue, len(messages))


def _told(written: object, found: Queue) -> dict[str, Any]:
    """A message, checked, as the store will be told of it; without what is as by default."""
    if not isinstance(written, Mapping) or "body" not in written:
        raise InvalidArgument(f"a message is a dict with a body, not {written!r:.80}.")
    said = {word: written[word] for word in written if word != "body"}
    if isinstance(said.get("eta"), str):
        said["eta"] = _moment(said["eta"])
    able, alias = found.store.capabilities, found.store.alias
    one = message(written["body"], said)
    fields = checked(one, "", queue=found.name, store=alias, able=able)._asdict()
    plain = Outgoing(id="", body="", headers="{}")._asdict()
    return {word: value for word, value in fields.items() if value != plain[word]}


def _moment(eta: str) -> datetime:
    try:
        return datetime.fromisoformat(eta)
    except ValueError:
        raise InvalidArgument(f"eta must be a time as ISO 8601 has it, not {eta!r:.80}.") from None


def _batch(
    ctx: Context, name: str, store: str, messages: Sequence[Mapping[str, Any]]
) -> list[Outgoing]:
    plain = {"headers": "{}"}
    return [
        Outgoing(
            id=message_id(ctx.gid, queue=name, store=store, number=number), **{**plain, **each}
        )
        for number, each in enumerate(messages)
    ]


def _known(store: str, name: str, given: Mapping[str, Any] | None = None) -> Declaration:
    return declarations.declared(queue_store(store), name, given or {})


def _first(name: str, given: Mapping[str, Any]) -> Declaration:
    """What it would be if nobody had used it."""
    return declaring.first(name, given, defaults=options.defaults())


def _publish(ctx: Context, store: str, known: Declaration, batch: Sequence[Outgoing]) -> None:
    """In the branch's own transaction: its witness makes it once."""
    try:
        queue_store(store).publish(known, batch, op=batch[0].id, kept_ms=KEPT_MS)
    except StoreUnavailable as error:
        if isinstance(error.__cause__, ConnectionLost):
            raise
        ctx.vote_no(str(error))


def _holds(store: str) -> QueueHolds:
    holds = queue_holds(store)
    if holds is None:
        raise InvalidArgument(f"Store {store!r} had holds when this transaction began.")
    return holds


register(
    Participant(
        name=NAME,
        using="",
        mode=Mode.TCC,
        body=reserve,
        confirm=confirm,
        cancel=cancel,
        place=place,
        elsewhere=True,
        ended=ended,
        seen=seen,
    )
)
