"""All that the page of one queue shows, and the life of one message."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from coordination.queues.life import MessageState
from coordination.queues.records import MessageRecord
from coordination.queues.sweeps.tables import QueueSweep
from dashboard.limits import (
    MESSAGE_ROWS,
    MESSAGES_LOOKED_AT,
    RATE_BUCKETS,
    SPARK_BUCKETS,
    SWEEP_ROWS,
)
from dashboard.message_rows import MessageRow, SweepRow
from dashboard.queries import queues
from dashboard.queries.bounds import alias, bounded
from dashboard.queue_rows import BucketRow, QueueRow

_HERE: Final = (MessageState.WAITING.value, MessageState.IN_FLIGHT.value)
_BRIEF: Final = tuple(
    field.attname for field in MessageRecord._meta.concrete_fields if field.attname != "life"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePast:
    """What is told of a queue beside its record. Messages are those that events told of."""

    buckets: tuple[BucketRow, ...]
    flight: tuple[MessageRow, ...]
    """In flight, the lease that ends first first."""
    letters: tuple[MessageRow, ...]
    """Dead letters of it, the newest first, with the attempts that they had here."""
    latest: tuple[MessageRow, ...]
    sweeps: tuple[SweepRow, ...]

    def wire(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "buckets": [each.wire() for each in self.buckets],
            "flight": [each.wire() for each in self.flight],
            "letters": [each.wire() for each in self.letters],
            "latest": [each.wire() for each in self.latest],
            "sweeps": [each.wire() for each in self.sweeps],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFound:
    """A queue, and what is told of it."""

    row: QueueRow
    past: QueuePast


def read(key: str, now_ms: int) -> QueueFound | None:
    """The queue with this key, if the observer has seen it. Raises TooSlowError."""
    with bounded():
        row = queues.one(key)
        if row is None:
            return None
        rates = queues.buckets([key], now_ms=now_ms, count=RATE_BUCKETS).get(key, ())
        past = QueuePast(
            buckets=rates,
            flight=_in_flight(key),
            letters=_letters(row),
            latest=_latest(key),
            sweeps=sweeps(row),
        )
    return QueueFound(row=row.with_rates(rates[-SPARK_BUCKETS:]), past=past)


def message(store: str, message_id: str) -> tuple[MessageRow, ...]:
    """A message in every queue of the store that it was in, in the order of its coming there."""
    found = MessageRecord.objects.using(alias()).filter(message=message_id)
    rows = [MessageRow.read(row) for row in found.order_by("id")]
    return tuple(row for row in rows if row.store == store)


def sweeps(row: QueueRow) -> tuple[SweepRow, ...]:
    """The last that somebody ordered, the newest first."""
    found = QueueSweep.objects.using(alias()).filter(store=row.store, queue=row.name)
    return tuple(map(SweepRow.read, found.order_by("-began_at")[:SWEEP_ROWS]))


def _latest(key: str) -> tuple[MessageRow, ...]:
    return _rows(_newest(key)[:MESSAGE_ROWS])


def _in_flight(key: str) -> tuple[MessageRow, ...]:
    newest = _newest(key).values("id")[:MESSAGES_LOOKED_AT]
    found = MessageRecord.objects.using(alias()).filter(
        id__in=newest, state=MessageState.IN_FLIGHT.value
    )
    return _rows(found.only(*_BRIEF).order_by("until", "id")[:MESSAGE_ROWS])


def _letters(row: QueueRow) -> tuple[MessageRow, ...]:
    if not row.dead_letter:
        return ()
    newest = _newest(f"{row.store} {row.dead_letter}").values("id")[:MESSAGES_LOOKED_AT]
    here = MessageRecord.objects.using(alias()).filter(id__in=newest, state__in=_HERE)
    letters = _rows(here.filter(source=row.name).only(*_BRIEF).order_by("-id")[:MESSAGE_ROWS])
    lives = {each.message: each for each in _lived(row.key, (each.message for each in letters))}
    return tuple(
        replace(each, attempts=lives[each.message].attempts, error=_error(each, lives))
        if each.message in lives
        else each
        for each in letters
    )


def _error(letter: MessageRow, lives: dict[str, MessageRow]) -> str:
    return letter.error or lives[letter.message].error


def _lived(key: str, messages: Iterable[str]) -> tuple[MessageRow, ...]:
    found = MessageRecord.objects.using(alias()).filter(key=key, message__in=list(messages))
    return _rows(found.only(*_BRIEF))


def _newest(key: str) -> Any:
    found = MessageRecord.objects.using(alias()).filter(key=key)
    return found.only(*_BRIEF).order_by("-id")


def _rows(found: Any) -> tuple[MessageRow, ...]:
    return tuple(map(_brief, found))


def _brief(row: MessageRecord) -> MessageRow:
    # Its life is left in the database: no list shows it.
    row.life = []
    return MessageRow.read(row)
