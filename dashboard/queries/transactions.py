"""Lists of transactions: unfinished first, oldest first; then the newest begun. Keyset paging."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial, reduce
from typing import Final, Self

from django.db.models import BooleanField, F, Func, Q, TextField, Value
from django.db.models.functions import Cast

from coordination.transactions.records import TransactionRecord
from coordination.transactions.types import Mode
from dashboard.filtering import STATES, Filter, Term
from dashboard.limits import COUNT_MAX
from dashboard.queries.bounds import alias, bounded
from dashboard.queries.conditions import any_member_is, any_of, name_is, narrowed, time_at
from dashboard.queries.listing import Listing, columns, matching
from dashboard.rows import DisplayState, TransactionRow

PREPARED: Final = reduce(
    operator.or_,
    (
        Q(branches__contains=[{"vote": "yes", "actual": None, "mode": mode}])
        for mode in Mode
        if mode is not Mode.SAGA
    ),
)
"""Records with a branch that holds durable work which only the outcome can end."""
_COLUMNS: Final = columns(TransactionRecord)
_UNDECIDED: Final = frozenset({DisplayState.VOTING, DisplayState.IN_DOUBT})
_CURSOR: Final = re.compile(r"^([ou])\.(\d{1,17})\.([a-z0-9-]{1,64})$")


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
        return time_at(us=self.begun_us)


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
    since = time_at(ms=now_ms) - timedelta(seconds=1)
    tallies: dict[str, int] = {}
    with bounded() as using:
        records = TransactionRecord.objects.using(using)
        for state in STATES:
            if state == DisplayState.IN_DOUBT:
                found = records.filter(PREPARED, outcome__isnull=True, begun_at__lt=since)
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
    read = partial(matching, read=TransactionRow.read, wanted=wanted, now_ms=now_ms)
    with bounded() as using:
        found = TransactionRecord.objects.using(using).filter(_query(wanted, now_ms))
        if cursor is None or cursor.unfinished:
            unfinished = found.filter(ended_at__isnull=True).order_by("begun_at", "gid")
            rows = read(unfinished.filter(_beyond(cursor, "gt")), limit=limit)
            cursor = None
        if len(rows) < limit:
            ended = found.filter(ended_at__isnull=False).order_by("-begun_at", "gid")
            rest = ended.filter(_beyond(cursor, "lt"))
            rows += read(rest, limit=limit - len(rows))
    return rows


def _before(wanted: Filter, cursor: Cursor, *, now_ms: int, limit: int) -> list[TransactionRow]:
    rows: list[TransactionRow] = []
    read = partial(matching, read=TransactionRow.read, wanted=wanted, now_ms=now_ms)
    with bounded() as using:
        found = TransactionRecord.objects.using(using).filter(_query(wanted, now_ms))
        at: Cursor | None = cursor
        if not cursor.unfinished:
            ended = found.filter(ended_at__isnull=False).order_by("begun_at", "-gid")
            rows = read(ended.filter(_beyond(cursor, "gt", back=True)), limit=limit)
            at = None
        if len(rows) < limit:
            unfinished = found.filter(ended_at__isnull=True).order_by("-begun_at", "-gid")
            rest = unfinished.filter(_beyond(at, "lt", back=True))
            rows += read(rest, limit=limit - len(rows))
    return rows[::-1]


def _beyond(cursor: Cursor | None, side: str, *, back: bool = False) -> Q:
    """Strictly past the cursor; rows begun in the same microsecond go on by gid."""
    if cursor is None:
        return Q()
    tie = Q(begun_at=cursor.begun_at, **{"gid__lt" if back else "gid__gt": cursor.gid})
    return Q(**{f"begun_at__{side}": cursor.begun_at}) | tie


def _query(wanted: Filter, now_ms: int) -> Q:
    return narrowed(wanted, lambda term: _condition(term, now_ms))


def _condition(term: Term, now_ms: int) -> Q | None:
    match term.key:
        case "state":
            return _state(term)
        case "outcome":
            stored = Q(outcome__in=[value for value in term.values if value != "none"])
            return stored | Q(outcome__isnull=True) if "none" in term.values else stored
        case "protocol" | "node":
            return Q(**{f"{term.key}__in": term.values})
        case "name":
            return name_is(term)
        case "participant":
            return any_member_is("branches", "participant", term)
        case "age":
            return _age(term, now_ms)
        case _:
            return any_of(_text(value) for value in term.values)


def _state(term: Term) -> Q | None:
    """In doubt is voting seen by a clock, so only the row itself can tell the two apart."""
    if term.negated and _UNDECIDED & set(term.values):
        return None
    stored = {"voting" if value in _UNDECIDED else value for value in term.values}
    return Q(state__in=stored)


def _age(term: Term, now_ms: int) -> Q:
    age = timedelta(milliseconds=term.amount)
    begun, ended = time_at(ms=now_ms) - age, F("begun_at") + age
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


LIST: Final = Listing(
    after=_after, before=_before, cursor_of=Cursor.of, cursor_from=Cursor.parse, counts=counts
)
