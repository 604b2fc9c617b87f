"""The steps of continuations, each a compare-and-set of one row."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import models, transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from coordination import conf
from coordination.locks.continuations.tables import Continuation
from coordination.locks.continuations.types import State

ATTEMPTS_MAX = 5
KEEPER_S = 5.0
"""How long a keeper that says nothing is left alone."""
RESEND_S = 10.0
"""After which a message that was perhaps not sent is sent again."""
DAYS = 7
"""How long one that has ended is kept."""


def rows() -> "models.QuerySet[Continuation]":
    """All of them, in the coordinator's database."""
    return Continuation.objects.using(conf.current().transactions.using)


def moved(row: Continuation, state: State, **changes: Any) -> bool:
    """Take it from where it was read to `state`; False when somebody else moved it first."""
    count = (
        rows()
        .filter(id=row.id, state=row.state, attempt=row.attempt)
        .update(state=state, changed_at=Now(), **{"told": False, **changes})
    )
    if count:
        row.state = state
        for field, value in changes.items():
            if not isinstance(value, F):
                setattr(row, field, value)
    return bool(count)


def told(row: Continuation) -> None:
    """What its state asks for was sent."""
    rows().filter(id=row.id, state=row.state, attempt=row.attempt).update(told=True)


def untell(row: Continuation) -> None:
    """What its state asks for is to be sent again."""
    rows().filter(id=row.id, state=row.state, attempt=row.attempt).update(told=False)


def again(row: Continuation, why: str) -> bool:
    """Ask for the lock anew, at the end of the queue; FAILED when that was tried too often."""
    if row.attempt >= ATTEMPTS_MAX:
        return moved(row, State.FAILED, error=why)
    # It had its turn within its wait: whoever replaces it is not late.
    changes = {"attempt": row.attempt + 1, "token": None, "deadline_at": None, "error": why}
    return moved(row, State.WAITING, **changes)


def claim(keeper: str, *, limit: int = 2_000) -> list[Continuation]:
    """Those that wait or were granted and that this keeper keeps from now on, oldest first."""
    using = conf.current().transactions.using
    with transaction.atomic(using=using):
        open_rows = rows().filter(state__in=[State.WAITING, State.GRANTED])
        mine = list(
            open_rows.filter(Q(keeper=keeper) | Q(keeper_until__lt=Now()))
            .select_for_update(skip_locked=True)
            .order_by("created_at")[:limit]
        )
        ids = [row.id for row in mine]
        until = Now() + timedelta(seconds=KEEPER_S)
        rows().filter(id__in=ids).update(keeper=keeper, keeper_until=until)
    return mine


def leave(keeper: str) -> None:
    """Let others keep what this keeper kept."""
    rows().filter(keeper=keeper).update(keeper="", keeper_until=Now())


def untold(*, limit: int) -> Sequence[Continuation]:
    """Those whose message was perhaps not sent, as its sender died."""
    states = [State.GRANTED, State.TIMED_OUT]
    late = Now() - timedelta(seconds=RESEND_S)
    return list(rows().filter(told=False, state__in=states, changed_at__lt=late)[:limit])


def running_longer_than_their_lease(*, limit: int) -> Sequence[Continuation]:
    """Those whose worker may have died."""
    lease = models.ExpressionWrapper(
        F("changed_at") + F("ttl_ms") * timedelta(milliseconds=1),
        output_field=models.DateTimeField(),
    )
    found = rows().filter(state=State.RUNNING).annotate(due=lease).filter(due__lt=Now())
    # At random: so many that live must not hide one that died.
    return list(found.order_by("?")[:limit])


def prune() -> int:
    """Forget those that ended long ago; returns how many."""
    long_ago = Now() - timedelta(days=DAYS)
    ended = [State.DONE, State.FAILED, State.TIMED_OUT]
    return rows().filter(state__in=ended, changed_at__lt=long_ago).delete()[0]
