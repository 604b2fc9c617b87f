"""Lists of queues: what needs somebody first, then by name, dead letter queues last. Keyset paging.

Rates come from buckets of their own, read for the rows of the list alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from django.db.models import Case, Count, IntegerField, Q, QuerySet, TextField, Value, When
from django.db.models.expressions import BaseExpression
from django.db.models.functions import Collate

from coordination.queues.declaring import DEAD_LETTER_SUFFIX
from coordination.queues.records import QueueBucket, QueueRecord
from dashboard.filtering import QUEUE_STATES, Filter, Term
from dashboard.limits import BACKING_UP_MS, QUEUE_BUSY_MS, QUEUE_SILENT_MS, SPARK_BUCKETS
from dashboard.queries.bounds import alias, bounded
from dashboard.queries.conditions import any_of, name_is, narrowed, time_at
from dashboard.queries.listing import Listing, columns, matching
from dashboard.queue_rows import BUCKET_MS, BucketRow, QueueRow, QueueState

_COLUMNS: Final = columns(QueueRecord)
_CURSOR: Final = re.compile(r"^([0-3])\.(\S{1,100} \S{1,200})$")
_ORDER: Final = ("rank", "name_c", "key_c")
_BACK: Final = ("-rank", "-name_c", "-key_c")
_LETTERS: Final = Q(name__endswith=DEAD_LETTER_SUFFIX)
_PAUSED: Final = Q(publishing_paused=True) | Q(consuming_paused=True)
_BUCKET_COLUMNS: Final = (
    *("key", "start", "published", "acked", "died", "ready", "in_flight", "oldest_ms"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A place between two rows of a list: the order key of the row beside it."""

    rank: int
    key: str

    @classmethod
    def of(cls, row: QueueRow) -> Self:
        """The place at `row`."""
        return cls(rank=row.rank, key=row.key)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """From its text in a URL; None when it is not one."""
        found = _CURSOR.match(text) if text.isprintable() else None
        return found and cls(rank=int(found[1]), key=found[2])

    def __str__(self) -> str:
        return f"{self.rank}.{self.key}"

    @property
    def name(self) -> str:
        """The name inside the key."""
        return self.key.partition(" ")[2]


def one(key: str) -> QueueRow | None:
    """One queue's record, without its rates, if the observer has seen it."""
    row = QueueRecord.objects.using(alias()).filter(key=key).values(*_COLUMNS).first()
    return None if row is None else QueueRow.read(row)


def named(name: str, *, limit: int) -> list[QueueRow]:
    """Queues of exactly this name, whatever their store."""
    found = QueueRecord.objects.using(alias()).filter(name=name).order_by("key")
    return [QueueRow.read(row) for row in found.values(*_COLUMNS)[:limit]]


def buckets(keys: Iterable[str], *, now_ms: int, count: int) -> Mapping[str, tuple[BucketRow, ...]]:
    """The last `count` buckets that are over, by key, oldest first; what is missing is not known.

    A queue that has none of them is not there.
    """
    end_ms = now_ms // BUCKET_MS * BUCKET_MS
    start_ms = end_ms - count * BUCKET_MS
    found = QueueBucket.objects.using(alias()).filter(
        key__in=list(keys), start__gte=time_at(ms=start_ms), start__lt=time_at(ms=end_ms)
    )
    read: dict[str, dict[int, BucketRow]] = {}
    for row in found.values(*_BUCKET_COLUMNS):
        bucket = BucketRow.read(row)
        read.setdefault(row["key"], {})[bucket.at_ms] = bucket
    times = range(start_ms, end_ms, BUCKET_MS)
    return {
        key: tuple(rows.get(at_ms) or BucketRow(at_ms=at_ms) for at_ms in times)
        for key, rows in read.items()
    }


def counts(now_ms: int) -> dict[str, int]:
    """How many queues are in each state."""
    with bounded() as using:
        records = QueueRecord.objects.using(using).annotate(shown=_shown(now_ms))
        found = records.order_by().values_list("shown").annotate(Count("key"))
        return dict.fromkeys(QUEUE_STATES, 0) | dict(found)


def attention() -> int:
    """How many queues have dead letters, or are disputed."""
    found = QueueRecord.objects.using(alias()).filter(~Q(disputed="") | Q(dead__gt=0) & ~_LETTERS)
    return found.count()


def _after(wanted: Filter, cursor: Cursor | None, *, now_ms: int, limit: int) -> list[QueueRow]:
    with bounded() as using:
        found = _records(using, wanted, now_ms).filter(_beyond(cursor, "gt")).order_by(*_ORDER)
        rows = matching(found, QueueRow.read, wanted=wanted, now_ms=now_ms, limit=limit)
        return _with_rates(rows, now_ms)


def _before(wanted: Filter, cursor: Cursor, *, now_ms: int, limit: int) -> list[QueueRow]:
    with bounded() as using:
        found = _records(using, wanted, now_ms).filter(_beyond(cursor, "lt")).order_by(*_BACK)
        rows = matching(found, QueueRow.read, wanted=wanted, now_ms=now_ms, limit=limit)
        return _with_rates(rows, now_ms)[::-1]


def _with_rates(rows: Sequence[QueueRow], now_ms: int) -> list[QueueRow]:
    found = buckets([row.key for row in rows], now_ms=now_ms, count=SPARK_BUCKETS)
    return [row.with_rates(found.get(row.key, ())) for row in rows]


def _records(using: str, wanted: Filter, now_ms: int) -> QuerySet[QueueRecord]:
    """What may match, with what it is sorted by: bytes of names, as Python and scripts do."""
    found = QueueRecord.objects.using(using).annotate(
        rank=Case(
            When(~Q(disputed=""), then=Value(0)),
            When(_LETTERS, then=Value(3)),
            When(_PAUSED | Q(dead__gt=0), then=Value(1)),
            default=Value(2),
            output_field=IntegerField(),
        ),
        name_c=Collate("name", "C"),
        key_c=Collate("key", "C"),
    )
    if any(term.key == "state" for term in wanted.terms):
        found = found.annotate(shown=_shown(now_ms))
    return found.filter(narrowed(wanted, _condition))


def _beyond(cursor: Cursor | None, side: str) -> Q:
    """Strictly past the cursor, in the direction of `_ORDER` ("gt") or against it ("lt")."""
    if cursor is None:
        return Q()
    rank, name = Q(rank=cursor.rank), Q(name=cursor.name)
    return (
        Q(**{f"rank__{side}": cursor.rank})
        | rank & Q(**{f"name_c__{side}": cursor.name})
        | rank & name & Q(**{f"key_c__{side}": cursor.key})
    )


def _condition(term: Term) -> Q:
    match term.key:
        case "state":
            return Q(shown__in=term.values)
        case "store":
            return Q(store__in=term.values)
        case "name":
            return name_is(term)
        case "dead" | "ready":
            return Q(**{f"{term.key}__{'gt' if term.above else 'lt'}": term.amount})
        case _:
            return any_of(Q(key__icontains=value) for value in term.values)


def _shown(now_ms: int) -> BaseExpression:
    """`QueueRow.state_at` as the database says it."""

    def ago(ms: int) -> object:
        return time_at(ms=now_ms - ms)

    busy = Q(ready__gt=0) | Q(in_flight__gt=0) | Q(event_at__gte=ago(QUEUE_BUSY_MS))
    silent = Q(seen_at__isnull=True) | Q(seen_at__lt=ago(QUEUE_SILENT_MS))
    return Case(
        When(~Q(disputed=""), then=Value(QueueState.DISPUTED.value)),
        When(silent, then=Value(QueueState.UNKNOWN.value)),
        When(_PAUSED, then=Value(QueueState.PAUSED.value)),
        When(_LETTERS, then=Value(QueueState.LETTERS.value)),
        When(dead__gt=0, then=Value(QueueState.DEAD.value)),
        When(oldest_at__lt=ago(BACKING_UP_MS), then=Value(QueueState.BACKING_UP.value)),
        When(busy, then=Value(QueueState.FLOWING.value)),
        default=Value(QueueState.IDLE.value),
        output_field=TextField(),
    )


LIST: Final = Listing(
    after=_after, before=_before, cursor_of=Cursor.of, cursor_from=Cursor.parse, counts=counts
)
