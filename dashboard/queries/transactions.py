"""Lists of transactions: unfinished first, oldest first; then the newest begun. Keyset paging."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from django.db.models import BooleanField, F, Func, Q, QuerySet, TextField, Value
from django.db.models.functions import Cast

from coordination.transactions.records import TransactionRecord
from dashboard.filtering import STATES, Filter, Term
from dashboard.globs import glob_pattern
from dashboard.limits import COUNT_MAX, PAGE_ROWS
from dashboard.queries.bounds import alias, bounded
from dashboard.rows import DisplayState, TransactionRow

_COLUMNS: Final = tuple(field.attname for field in TransactionRecord._meta.concrete_fields)
_UNDECIDED: Final = frozenset({DisplayState.VOTING, DisplayState.IN_DOUBT})
_CURSOR: Final = re.compile(r"^([ou])\.(\d{1,17})\.([a-z0-9-]{1,64})$")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# A row judged by age may fail in memory what the query let through.
_SLACK: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A place between two rows of a list: the order key of the row beside it."""

    unfinished: bool
    begun_us: int
    gid: str

    @classmethod
    def of(cls, row: TransactionRow) -> Self:
        """The place at `row`."""
        return cls(unfinished=row.ended_ms is None, begun_us=row.begun_us, gid=row.gid)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """From its text in a URL; None when it is not one."""
        found = _CURSOR.match(text)
        if found is None:
            return None
        return cls(unfinished=found[1] == "u", begun_us=int(found[2]), gid=found[3])

    def __str__(self) -> str:
        return f"{'u' if self.unfinished else 'o'}.{self.begun_us}.{self.gid}"

    @property
    def begun_at(self) -> datetime:
        """The row's begin as the database knows it."""
        return _EPOCH + timedelta(microseconds=self.begun_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A stretch of a list, with the cursors of the stretches beside it where there are any."""

    rows: tuple[TransactionRow, ...]
    older: Cursor | None
    newer: Cursor | None


def first(wanted: Filter, *, now_ms: int, limit: int) -> tuple[tuple[TransactionRow, ...], bool]:
    """The first `limit` rows, and whether there are more.

    Raises:
        TooSlowError: the filter matches too little of too much.
    """
    rows = _after(wanted, None, now_ms=now_ms, limit=limit + 1)
    return tuple(rows[:limit]), len(rows) > limit


def page(
    wanted: Filter, *, now_ms: int, older: Cursor | None = None, newer: Cursor | None = None
) -> Page:
    """The page behind the cursor `older`, or before the cursor `newer`, or the first.

    Raises:
        TooSlowError: the filter matches too little of too much.
    """
    if newer is not None:
        rows = _before(wanted, newer, now_ms=now_ms, limit=PAGE_ROWS + 1)
        more, rows = len(rows) > PAGE_ROWS, rows[-PAGE_ROWS:]
        return Page(
            rows=tuple(rows),
            older=Cursor.of(rows[-1]) if rows else None,
            newer=Cursor.of(rows[0]) if more else None,
        )
    rows = _after(wanted, older, now_ms=now_ms, limit=PAGE_ROWS + 1)
    more, rows = len(rows) > PAGE_ROWS, rows[:PAGE_ROWS]
    return Page(
        rows=tuple(rows),
        older=Cursor.of(rows[-1]) if more else None,
        newer=Cursor.of(rows[0]) if older is not None and rows else None,
    )


def one(gid: str) -> TransactionRow | None:
    """One transaction's record, if the observer has seen it."""
    row = TransactionRecord.objects.using(alias()).filter(gid=gid).values(*_COLUMNS).first()
    return None if row is None else TransactionRow.read(row)


def several(gids: list[str]) -> dict[str, TransactionRow]:
    """The records of these transactions, by gid."""
    found = TransactionRecord.objects.using(alias()).filter(gid__in=gids).values(*_COLUMNS)
    return {row["gid"]: TransactionRow.read(row) for row in found}


def counts(now_ms: int) -> dict[str, int]:
    """How many transactions are in each state, each count stopping at `COUNT_MAX`."""
    since = _moment(now_ms) - timedelta(seconds=1)
    prepared = Q(branches__contains=[{"vote": "yes", "actual": None}])
    tallies: dict[str, int] = {}
    with bounded() as using:
        records = TransactionRecord.objects.using(using)
        for state in STATES:
            if state == DisplayState.IN_DOUBT:
                found = records.filter(prepared, outcome__isnull=True, begun_at__lt=since)
                found = found.filter(ended_at__isnull=True)
            else:
                found = records.filter(state=state)
            tallies[state] = found.order_by()[: COUNT_MAX + 1].count()
    tallies["voting"] = max(0, tallies["voting"] - tallies["in_doubt"])
    return tallies


def _after(
    wanted: Filter, cursor: Cursor | None, *, now_ms: int, limit: int
) -> list[TransactionRow]:
    rows: list[TransactionRow] = []
    with bounded() as using:
        found = TransactionRecord.objects.using(using).filter(_query(wanted, now_ms))
        if cursor is None or cursor.unfinished:
            unfinished = found.filter(ended_at__isnull=True).order_by("begun_at", "gid")
            rows = _read(unfinished.filter(_beyond(cursor, "gt")), wanted, now_ms, limit)
            cursor = None
        if len(rows) < limit:
            ended = found.filter(ended_at__isnull=False).order_by("-begun_at", "gid")
            rest = ended.filter(_beyond(cursor, "lt"))
            rows += _read(rest, wanted, now_ms, limit - len(rows))
    return rows


def _before(wanted: Filter, cursor: Cursor, *, now_ms: int, limit: int) -> list[TransactionRow]:
    rows: list[TransactionRow] = []
    with bounded() as using:
        found = TransactionRecord.objects.using(using).filter(_query(wanted, now_ms))
        at: Cursor | None = cursor
        if not cursor.unfinished:
            ended = found.filter(ended_at__isnull=False).order_by("begun_at", "-gid")
            rows = _read(ended.filter(_beyond(cursor, "gt", back=True)), wanted, now_ms, limit)
            at = None
        if len(rows) < limit:
            unfinished = found.filter(ended_at__isnull=True).order_by("-begun_at", "-gid")
            rest = unfinished.filter(_beyond(at, "lt", back=True))
            rows += _read(rest, wanted, now_ms, limit - len(rows))
    return rows[::-1]


def _beyond(cursor: Cursor | None, side: str, *, back: bool = False) -> Q:
    """Strictly past the cursor; rows begun in the same microsecond go on by gid."""
    if cursor is None:
        return Q()
    tie = Q(begun_at=cursor.begun_at, **{"gid__lt" if back else "gid__gt": cursor.gid})
    return Q(**{f"begun_at__{side}": cursor.begun_at}) | tie


def _read(
    found: QuerySet[TransactionRecord], wanted: Filter, now_ms: int, limit: int
) -> list[TransactionRow]:
    values = found.values(*_COLUMNS)[: limit * _SLACK if wanted.timed else limit]
    rows = (TransactionRow.read(row) for row in values)
    return [row for row in rows if wanted.matches(row, now_ms)][:limit]


class _ParticipantMatches(Func):
    """Whether any branch's participant matches a regular expression."""

    template = "EXISTS (SELECT 1 FROM jsonb_array_elements(%(expressions)s))"
    arg_joiner = ") AS b(item) WHERE b.item->>'participant' ~ ("
    output_field = BooleanField()


def _query(wanted: Filter, now_ms: int) -> Q:
    """What narrows the search in the database; `Filter.matches` has the last word."""
    query = Q()
    for term in wanted.terms:
        condition = _condition(term, now_ms)
        if condition is not None:
            query &= ~condition if term.negated else condition
    return query


def _condition(term: Term, now_ms: int) -> Q | None:
    match term.key:
        case "state":
            return _state(term)
        case "outcome":
            named = Q(outcome__in=[value for value in term.values if value != "none"])
            return named | Q(outcome__isnull=True) if "none" in term.values else named
        case "protocol" | "node":
            return Q(**{f"{term.key}__in": term.values})
        case "name":
            return _any(Q(name__regex=glob_pattern(value)) for value in term.values)
        case "participant":
            patterns = (Value(glob_pattern(value)) for value in term.values)
            return _any(Q(_ParticipantMatches(F("branches"), pattern)) for pattern in patterns)
        case "age":
            return _age(term, now_ms)
        case _:
            return _any(_text(value) for value in term.values)


def _state(term: Term) -> Q | None:
    """In doubt is voting seen by a clock, so only the row itself can tell the two apart."""
    if term.negated and _UNDECIDED & set(term.values):
        return None
    stored = {"voting" if value in _UNDECIDED else value for value in term.values}
    return Q(state__in=stored)


def _age(term: Term, now_ms: int) -> Q:
    age = timedelta(milliseconds=term.amount)
    begun, ended = _moment(now_ms) - age, F("begun_at") + age
    if term.above:
        return Q(ended_at__isnull=True, begun_at__lt=begun) | Q(ended_at__gt=ended)
    return Q(ended_at__isnull=True, begun_at__gt=begun) | Q(ended_at__lt=ended)


def _text(value: str) -> Q:
    class_text = Cast("branches", TextField())
    return (
        Q(gid__icontains=value)
        | Q(name__icontains=value)
        | Q(key__isnull=False, key__icontains=value)
        | Q(reason__icontains=value)
        | Q(_Contains(class_text, Value(value)))
    )


class _Contains(Func):
    """Whether the first text holds the second, whatever the case; no pattern characters."""

    template = "position(lower(%(expressions)s)) > 0"
    arg_joiner = ") in lower("
    output_field = BooleanField()

    def __init__(self, text: Cast, value: Value) -> None:
        super().__init__(value, text)


def _any(conditions: object) -> Q:
    query = Q()
    for condition in conditions:  # type: ignore[attr-defined]
        query |= condition
    return query


def _moment(now_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=now_ms)
