"""Lists of locks: disputed first, then the longest queue, then by name. Keyset paging."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

from django.db.models import (
    BooleanField,
    Case,
    Count,
    F,
    FloatField,
    Func,
    IntegerField,
    Q,
    QuerySet,
    TextField,
    Value,
    When,
)
from django.db.models.expressions import BaseExpression
from django.db.models.functions import Collate

from coordination.locks.records import LockGrant, LockRecord, LockRefusal
from dashboard.filtering import LOCK_STATES, Filter, Term
from dashboard.limits import ENDING_MS, ENDING_SHARE, GRANT_ROWS, REFUSAL_ROWS
from dashboard.lock_history import GrantRow, RefusalRow
from dashboard.lock_rows import LockRow, LockState
from dashboard.queries.bounds import alias, bounded
from dashboard.queries.conditions import any_member_is, any_of, name_is, narrowed, time_at
from dashboard.queries.listing import Listing, columns, matching

QUEUED: Final = "queued"
"""Beside the states: locks that somebody waits for."""
_COLUMNS: Final = columns(LockRecord)
_CURSOR: Final = re.compile(r"^([01])\.(\d{1,9})\.(\S{1,100} \S{1,20} \S{1,200})$")
_ORDER: Final = ("rank", "-waiting", "name_c", "key_c")
_BACK: Final = ("-rank", "waiting", "-name_c", "-key_c")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A place between two rows of a list: the order key of the row beside it."""

    rank: int
    waiting: int
    key: str

    @classmethod
    def of(cls, row: LockRow) -> Self:
        """The place at `row`."""
        return cls(rank=row.order[0], waiting=row.waiting, key=row.key)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """From its text in a URL; None when it is not one."""
        found = _CURSOR.match(text) if text.isprintable() else None
        return found and cls(rank=int(found[1]), waiting=int(found[2]), key=found[3])

    def __str__(self) -> str:
        return f"{self.rank}.{self.waiting}.{self.key}"

    @property
    def name(self) -> str:
        """The name inside the key."""
        return self.key.split(" ", 2)[2]


def one(key: str) -> LockRow | None:
    """One lock's record, if the observer has seen it."""
    return several([key]).get(key)


def several(keys: list[str]) -> dict[str, LockRow]:
    """The records of these locks, by key."""
    if not keys:
        return {}
    found = LockRecord.objects.using(alias()).filter(key__in=keys).values(*_COLUMNS)
    return {row["key"]: LockRow.read(row) for row in found}


def named(name: str, *, limit: int) -> list[LockRow]:
    """Locks of exactly this name, whatever their kind and store."""
    found = LockRecord.objects.using(alias()).filter(name=name).order_by("key")
    return [LockRow.read(row) for row in found.values(*_COLUMNS)[:limit]]


def grants(key: str) -> tuple[GrantRow, ...]:
    """The last grants of a lock, the newest first."""
    found = LockGrant.objects.using(alias()).filter(key=key).order_by("-granted_at", "-token")
    return tuple(map(GrantRow.read, found[:GRANT_ROWS]))


def refusals(key: str) -> tuple[RefusalRow, ...]:
    """The last refusals of former holders, the newest first."""
    found = LockRefusal.objects.using(alias()).filter(key=key).order_by("-at")
    return tuple(map(RefusalRow.read, found[:REFUSAL_ROWS]))


def counts(now_ms: int) -> dict[str, int]:
    """How many locks are in each state, and how many have a queue."""
    with bounded() as using:
        records = LockRecord.objects.using(using).annotate(shown=_shown(now_ms))
        found = records.order_by().values_list("shown").annotate(Count("key"))
        tallies = dict.fromkeys(LOCK_STATES, 0) | dict(found)
        tallies[QUEUED] = LockRecord.objects.using(using).filter(waiting__gt=0).count()
    return tallies


def _after(wanted: Filter, cursor: Cursor | None, *, now_ms: int, limit: int) -> list[LockRow]:
    with bounded() as using:
        found = _records(using, wanted, now_ms).filter(_beyond(cursor, "gt")).order_by(*_ORDER)
        return matching(found, LockRow.read, wanted=wanted, now_ms=now_ms, limit=limit)


def _before(wanted: Filter, cursor: Cursor, *, now_ms: int, limit: int) -> list[LockRow]:
    with bounded() as using:
        found = _records(using, wanted, now_ms).filter(_beyond(cursor, "lt")).order_by(*_BACK)
        return matching(found, LockRow.read, wanted=wanted, now_ms=now_ms, limit=limit)[::-1]


def _records(using: str, wanted: Filter, now_ms: int) -> QuerySet[LockRecord]:
    """What may match, with what it is sorted by: bytes of names, as Python and scripts do."""
    found = LockRecord.objects.using(using).annotate(
        rank=Case(When(disputed="", then=Value(1)), default=Value(0), output_field=IntegerField()),
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
    longer = "lt" if side == "gt" else "gt"
    rank, waiting = Q(rank=cursor.rank), Q(waiting=cursor.waiting)
    name = Q(name=cursor.name)
    return (
        Q(**{f"rank__{side}": cursor.rank})
        | rank & Q(**{f"waiting__{longer}": cursor.waiting})
        | rank & waiting & Q(**{f"name_c__{side}": cursor.name})
        | rank & waiting & name & Q(**{f"key_c__{side}": cursor.key})
    )


def _condition(term: Term) -> Q:
    match term.key:
        case "state":
            return Q(shown__in=term.values)
        case "store" | "kind":
            return Q(**{f"{term.key}__in": term.values})
        case "name":
            return name_is(term)
        case "owner":
            return any_member_is("holders", "owner", term)
        case "queue":
            return Q(**{f"waiting__{'gt' if term.above else 'lt'}": term.amount})
        case _:
            return any_of(_text(value) for value in term.values)


def _text(value: str) -> Q:
    said = Value(value)
    return Q(key__icontains=value) | Q(_SaidOf(F("holders"), said)) | Q(_SaidOf(F("waiters"), said))


class _SaidOf(Func):
    """Whether owner or context of any claim holds a text, whatever the case."""

    template = "EXISTS (SELECT 1 FROM jsonb_array_elements(%(expressions)s)"
    template += " IN lower(concat(c.item->>'owner', ' ', c.item->>'context'))) > 0)"
    arg_joiner = ") AS c(item) WHERE position(lower("
    output_field = BooleanField()


class _LeaseMs(Func):
    """How long the lease is that ends last, in milliseconds; null when nobody can tell."""

    template = (
        "(SELECT max(extract(epoch FROM (c.item->>'until')::timestamptz - coalesce("
        "nullif(c.item->>'renewed_at', ''), c.item->>'since')::timestamptz) * 1000)"
        " FROM jsonb_array_elements(%(expressions)s) AS c(item)"
        " WHERE (c.item->>'until')::timestamptz = until)"
    )
    output_field = FloatField()


def _shown(now_ms: int) -> BaseExpression:
    """`LockRow.state_at` as the database says it."""
    now = time_at(ms=now_ms)
    left_ms = _MsUntil(F("until"), Value(now))
    ending = Q(until__lt=now + timedelta(milliseconds=ENDING_MS)) & Q(
        _Less(left_ms, _Least(F("holders")))
    )
    return Case(
        When(~Q(disputed=""), then=Value(LockState.DISPUTED.value)),
        When(gap=True, then=Value(LockState.UNKNOWN.value)),
        When(
            Q(holding=0) | Q(until__isnull=True),
            then=Case(
                When(last_end="expired", then=Value(LockState.RAN_OUT.value)),
                default=Value(LockState.FREE.value),
            ),
        ),
        When(until__lte=now, then=Value(LockState.RAN_OUT.value)),
        When(
            Q(holders__contains=[{"state": "handed"}]) & ~Q(holders__contains=[{"state": "held"}]),
            then=Value(LockState.HANDED.value),
        ),
        When(ending, then=Value(LockState.ENDING.value)),
        default=Value(LockState.HELD.value),
        output_field=TextField(),
    )


class _MsUntil(Func):
    """Milliseconds from the second time to the first."""

    template = "(extract(epoch FROM %(expressions)s) * 1000)"
    arg_joiner = " - "
    output_field = FloatField()


class _Least(_LeaseMs):
    """With less than this left, milliseconds, a lease is ending."""

    template = f"least({ENDING_MS}, {_LeaseMs.template} * {ENDING_SHARE})"


class _Less(Func):
    """Whether the first is less than the second."""

    template = "(%(expressions)s)"
    arg_joiner = " < "
    output_field = BooleanField()


LIST: Final = Listing(
    after=_after, before=_before, cursor_of=Cursor.of, cursor_from=Cursor.parse, counts=counts
)
