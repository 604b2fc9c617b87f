"""Saying what became of messages: each receipt by itself, and told which of them were stale."""

from collections.abc import Iterable, Sequence
from random import random
from typing import Any

from coordination import conf
from coordination.exceptions import InvalidArgument, StaleReceipt
from coordination.locks.repeating import repeated
from coordination.queues import machine, operation_ids
from coordination.queues.delivery import Delivery
from coordination.queues.message import delayed_ms
from coordination.queues.store import QueueStore
from coordination.queues.types import BATCH_MAX, KEPT_MS, Declaration, Settlement, Verb

Receipts = Delivery | str | Iterable[Delivery | str]
"""One or several, as a delivery or its receipt."""


def receipts_of(given: Receipts) -> list[str]:
    """The receipts. Raises InvalidArgument for what is none, and for too many."""
    several = [given] if isinstance(given, Delivery | str) else list(given)
    receipts = [each.receipt if isinstance(each, Delivery) else _checked(each) for each in several]
    if len(receipts) > BATCH_MAX:
        raise InvalidArgument(f"at most {BATCH_MAX} receipts at once, not {len(receipts)}.")
    return receipts


def _checked(receipt: str) -> str:
    """One that came from elsewhere, and may be anything."""
    machine.attempts_of(receipt)
    return receipt


def acked(receipts: Sequence[str]) -> list[Settlement]:
    """They are done."""
    return [Settlement(receipt, Verb.ACK) for receipt in receipts]


def failed(
    declared: Declaration, receipts: Sequence[str], *, delay: Any, error: object
) -> list[Settlement]:
    """These attempts failed."""
    settings = conf.current().queues
    delay_ms = None if delay is None else delayed_ms(delay)
    return [
        machine.after_failure(
            declared,
            receipt,
            error=_said(error),
            delay_ms=delay_ms,
            base_ms=settings.backoff_ms,
            cap_ms=settings.backoff_max_ms,
            uniform=random(),  # noqa: S311  spreads retries; nothing is secured by it
        )
        for receipt in receipts
    ]


def rejected(declared: Declaration, receipts: Sequence[str], *, error: object) -> list[Settlement]:
    """No attempt will help."""
    cap_ms = conf.current().queues.backoff_max_ms
    return [
        machine.after_rejection(declared, receipt, error=_said(error), cap_ms=cap_ms)
        for receipt in receipts
    ]


def settle(
    store: QueueStore,
    declared: Declaration,
    settlements: Sequence[Settlement],
    *,
    op: str | None = None,
    kept_ms: int = KEPT_MS,
) -> None:
    """Tell the store. Raises StaleReceipt, with those it did not settle, when there are any."""
    stale = stale_of(store, declared, settlements, op=op, kept_ms=kept_ms)
    if stale:
        raise refusal(declared, stale, store=store)


def stale_of(
    store: QueueStore,
    declared: Declaration,
    settlements: Sequence[Settlement],
    *,
    op: str | None = None,
    kept_ms: int = KEPT_MS,
) -> list[str]:
    """Tell the store; the receipts that were stale."""
    if not settlements:
        return []
    name = operation_ids.new() if op is None else op
    settled = repeated(
        lambda deadline_ms: store.settle(
            declared, settlements, op=name, kept_ms=kept_ms, deadline_ms=deadline_ms
        ),
        deadline_ms=store.deadline_ms,
    )
    return [each.receipt for each, done in zip(settlements, settled, strict=True) if not done]


def extend(
    store: QueueStore, declared: Declaration, receipts: Sequence[str], *, lease_ms: int
) -> None:
    """Let leases begin anew. Raises StaleReceipt, with those that are over, when there are any."""
    if not receipts:
        return
    extended = repeated(
        lambda deadline_ms: store.extend(
            declared, receipts, lease_ms=lease_ms, deadline_ms=deadline_ms
        ),
        deadline_ms=store.deadline_ms,
    )
    stale = [receipt for receipt, done in zip(receipts, extended, strict=True) if not done]
    if stale:
        raise refusal(declared, stale, store=store)


def refusal(declared: Declaration, stale: Sequence[str], *, store: QueueStore) -> StaleReceipt:
    """The error that names stale receipts."""
    what = f"receipt {stale[0]!r:.80} is" if len(stale) == 1 else f"{len(stale)} receipts are"
    return StaleReceipt(
        f"Queue {declared.name!r}: {what} stale: the lease ended, or the message was settled. "
        "Somebody else may have it.",
        name=declared.name,
        store=store.alias,
        receipts=stale,
    )


def _said(error: object) -> str:
    if isinstance(error, BaseException):
        return f"{type(error).__name__}: {error}"[: machine.ERROR_LENGTH_MAX]
    return str(error)[: machine.ERROR_LENGTH_MAX]
