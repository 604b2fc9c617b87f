"""What other apps may ask of queues by Celery task, in JSON."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from coordination import conf
from coordination.exceptions import InvalidArgument, NotSupportedByStore
from coordination.kernel.nearest import unknown_message
from coordination.queues import operation_ids, settling
from coordination.queues.api import Queue, queue
from coordination.queues.delivery import Delivery
from coordination.queues.types import Capability, Settlement

RESERVING = ("batch", "using", "op_id")
ACKING = ("using", "op_id")
NACKING = ("delay", "error", "reject", "using", "op_id")


def publish(
    name: str, body: Any, *, op_id: str, using: str | None = None, **options: Any
) -> dict[str, Any]:
    """Put a message into a queue once for `op_id`. Raises CoordinationError."""
    if isinstance(eta := options.get("eta"), str):
        options["eta"] = _moment(eta)
    return {"id": queue(name, using=using).publish(body, op_id=op_id, **options)}


def reserve(
    name: str, *, op_id: str, using: str | None = None, batch: int = 1, **others: Any
) -> dict[str, Any]:
    """Take what is there, the same for the same `op_id`. Raises CoordinationError."""
    _refuse(others, RESERVING)
    found = _portable(queue(name, using=using)).reserve(batch, op_id=op_id)
    return {"messages": [_told(each) for each in found]}


def ack(
    name: str, receipts: Sequence[str], *, op_id: str, using: str | None = None, **others: Any
) -> dict[str, Any]:
    """They are done; answers those that were `stale`. Raises CoordinationError."""
    _refuse(others, ACKING)
    settled = _portable(queue(name, using=using))
    return _settle(settled, "ack", settling.acked(_receipts(receipts)), op_id)


def nack(
    name: str,
    receipts: Sequence[str],
    *,
    op_id: str,
    using: str | None = None,
    delay: Any = None,
    error: str = "",
    reject: bool = False,
    **others: Any,
) -> dict[str, Any]:
    """These attempts failed; answers those that were `stale`. Raises CoordinationError."""
    _refuse(others, NACKING)
    settled = _portable(queue(name, using=using))
    given = _receipts(receipts)
    if reject:
        failed = settling.rejected(settled.declared, given, error=error)
    else:
        failed = settling.failed(settled.declared, given, delay=delay, error=error)
    return _settle(settled, "nack", failed, op_id)


def _refuse(others: Mapping[str, Any], options: Sequence[str]) -> None:
    """What a task does not take; raised as an argument of Python's it would be no answer."""
    for option in others:
        raise InvalidArgument(unknown_message("option", option, options))


def _settle(
    settled: Queue, verb: str, settlements: Sequence[Settlement], op_id: str
) -> dict[str, Any]:
    settling.settle(
        settled.store,
        settled.declared,
        settlements,
        op=operation_ids.of(
            verb,
            op_id,
            queue=settled.name,
            store=settled.store.alias,
            of_what=[each.receipt for each in settlements],
        ),
        kept_ms=conf.current().op_id_ttl_ms,
    )
    return {"settled": len(settlements)}


def _portable(found: Queue) -> Queue:
    """The next task may run in another process."""
    if Capability.PORTABLE_RECEIPTS not in found.store.capabilities:
        raise NotSupportedByStore(
            f"Store {found.store.alias!r} settles receipts in their own process only: consume "
            "there with queue.run() or manage.py concord consume.",
            name=found.name,
            store=found.store.alias,
        )
    return found


def _receipts(given: Any) -> list[str]:
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list | tuple) or not all(isinstance(each, str) for each in given):
        raise InvalidArgument(f"receipts must be a list of str, not {given!r:.80}.")
    return settling.receipts_of(list(given))


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise InvalidArgument(f"eta must be a time in ISO 8601, not {text!r:.80}.") from None


def _told(delivery: Delivery) -> dict[str, Any]:
    return {
        "id": delivery.id,
        "receipt": delivery.receipt,
        "attempts": delivery.attempts,
        "body": delivery.body,
        "headers": dict(delivery.headers),
        "published_at": delivery.published_at.isoformat(),
    }
