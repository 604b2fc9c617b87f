"""What operators do to a queue: a set frozen when they ask, in steps that repeat safely."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from coordination.exceptions import (
    CoordinationError,
    InvalidArgument,
    OutcomeUnknown,
    QueueFull,
)
from coordination.identity import identity
from coordination.locks.repeating import repeated
from coordination.queues import operation_ids
from coordination.queues.options import count
from coordination.queues.store import QueueStore
from coordination.queues.types import Declaration, Swept

STEP = 200
"""Messages of one step, during which the store serves nobody else."""
WORDS_MAX = 500

Progress = Callable[[int], None]
"""Is told after each step how many it has been so far."""


def swept(
    step: Callable[[str, int, str | None, int], Swept],
    *,
    store: QueueStore,
    limit: int | None,
    progress: Progress | None,
) -> int:
    """Repeat `step(op, limit, cursor, deadline_ms)` over what is there now; returns how many.

    Raises what a step raises; once others were made before it, an error that says how many.
    """
    if limit is not None:
        count(limit, what="limit")
    op, done, number = operation_ids.new(), 0, 0
    cursor: str | None = None
    while limit is None or done < limit:
        size = STEP if limit is None else min(STEP, limit - done)
        once = partial(step, operation_ids.part(op, number), size, cursor)
        try:
            found = repeated(once, deadline_ms=store.deadline_ms)
        except CoordinationError as error:
            if not done:
                raise
            raise _halfway(error, done) from error
        done, number, cursor = done + found.done, number + 1, found.cursor
        if progress is not None:
            progress(done)
        if cursor is None:
            break
    return done


def _halfway(error: CoordinationError, done: int) -> CoordinationError:
    """The same of a step that others came before: it does not say that nothing was done."""
    more = {"name": error.name, "store": error.store, "reason": error.reason}
    told = f"After {done} messages: {error}"
    if not isinstance(error, QueueFull):
        return OutcomeUnknown(told, **more)
    full = QueueFull(told, **more)
    full.applied = None
    return full


def picked(
    store: QueueStore,
    source: Declaration,
    to: Declaration | None,
    message: Any,
    *,
    died_in: str | None,
    said: Mapping[str, str],
) -> int:
    """One message to another queue, or away; returns how many: 0 if it is not there, or taken."""
    if not isinstance(message, str) or not message or message.split() != [message]:
        raise InvalidArgument(f"only must be the id of a message, not {message!r:.80}.")
    op = operation_ids.new()
    return repeated(
        lambda deadline_ms: int(
            store.pick(
                *(source, message),
                to=to,
                op=op,
                died_in=died_in,
                said=said,
                deadline_ms=deadline_ms,
            )
        ),
        deadline_ms=store.deadline_ms,
    )


def said(actor: Any, reason: Any) -> Mapping[str, str]:
    """Who does it, and why. Raises InvalidArgument."""
    for what, words in (("actor", actor), ("reason", reason)):
        if not isinstance(words, str):
            raise InvalidArgument(f"{what} must be a str, not {words!r:.80}.")
    return {"actor": (actor or identity())[:WORDS_MAX], "reason": reason[:WORDS_MAX]}
