"""Publishing: at once, or with the database transaction that is open around it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import connections

from coordination.exceptions import InvalidArgument
from coordination.queues.outbox.writing import write
from coordination.queues.sending import send
from coordination.queues.store import QueueStore
from coordination.queues.types import Declaration, Outgoing


def publish(
    store: QueueStore,
    declared: Callable[[], Declaration],
    batch: Sequence[Outgoing],
    *,
    op: str,
    kept_ms: int,
    content: str,
    within: str | None,
    told: tuple[str, Mapping[str, Any]],
) -> list[str]:
    """Publish all or none; returns their ids, of a duplicate that of the first.

    Inside `atomic()` they are published if and only if it commits. Raises as `QueueStore.publish`.
    `told` is the queue's name and what was given of its declaration, for an outbox: that needs no
    store that answers.
    """
    inside = _block(within, store)
    if inside is not None and inside != store.database:
        return write(told, batch, op=op, content=content, store=store, using=inside)
    if inside is not None:
        # A repetition after an error would fail in the doomed transaction.
        published = store.publish(declared(), batch, op=op, kept_ms=kept_ms, content=content)
    else:
        published = send(store, declared(), batch, op=op, kept_ms=kept_ms, content=content)
    return [each.id for each in published]


def _block(within: str | None, store: QueueStore) -> str | None:
    """Alias of the database whose transaction the messages go with; None: of none."""
    opened = [each.alias for each in connections.all(initialized_only=True) if each.in_atomic_block]
    if within is not None:
        if within not in opened:
            raise InvalidArgument(f"within={within!r:.80}: no atomic() of it is open here.")
        return within
    if store.database in opened:
        return store.database
    if len(opened) > 1:
        raise InvalidArgument(
            f"atomic() of {', '.join(sorted(opened))} are open: name the one whose commit is to "
            "publish with within=…"
        )
    return opened[0] if opened else None
