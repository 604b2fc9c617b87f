"""Lists of counters: disputed first, then by name. Keyset paging. And one counter's history."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Self

from django.db import connections
from django.db.models import (
    BooleanField,
    Case,
    Count,
    F,
    Func,
    IntegerField,
    Q,
    QuerySet,
    TextField,
    Value,
    When,
)
from django.db.models.expressions import BaseExpression
from django.db.models.fields.json import KT
from django.db.models.functions import Collate, Concat

from coordination.counters.records import CounterRecord
from dashboard.counter_rows import CellRow, ChangeRow, CounterRow, CounterState
from dashboard.filtering import COUNTER_STATES, Filter, Term
from dashboard.limits import CHANGE_ROWS, COUNTING_MS
from dashboard.queries.bounds import alias, bounded
from dashboard.queries.conditions import any_of, name_is, narrowed, time_at
from dashboard.queries.listing import Listing, columns, matching

_COLUMNS: Final = columns(CounterRecord)
_CURSOR: Final = re.compile(r"^([01])\.(\S{1,100} \S{1,200})$")
_ORDER: Final = ("rank", "name_c", "key_c")
_BACK: Final = ("-rank", "-name_c", "-key_c")
_CHANGES: Final = """
SELECT e.seq, e.kind, e.version, e.at, e.node, e.actor, e.data::text
FROM concord_counter_record r CROSS JOIN LATERAL (
    SELECT * FROM concord_event WHERE object = 'counter' AND name = r.key
    ORDER BY version DESC LIMIT %s
) e
WHERE r.counter = %s ORDER BY e.at DESC, e.version DESC LIMIT %s
"""
_CHANGE_COLUMNS: Final = ("seq", "kind", "version", "at", "node", "actor", "data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A place between two rows of a list: the order key of the row beside it."""

    rank: int
    key: str

    @classmethod
    def of(cls, row: CounterRow) -> Self:
        """The place at `row`."""
        return cls(rank=row.order[0], key=row.key)

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
        return self.key.split(" ", 1)[1]


def one(key: str) -> CounterRow | None:
    """One counter's record, if the observer has seen it."""
    return several([key]).get(key)


def several(keys: list[str]) -> dict[str, CounterRow]:
    """The records of these counters, by key."""
    if not keys:
        return {}
    found = CounterRecord.objects.using(alias()).filter(key__in=keys).values(*_COLUMNS)
    return {row["key"]: CounterRow.read(row) for row in found}


def named(name: str, *, limit: int) -> list[CounterRow]:
    """Counters of exactly this name, whatever their store."""
    found = CounterRecord.objects.using(alias()).filter(name=name, shard=0).order_by("key")
    return [CounterRow.read(row) for row in found.values(*_COLUMNS)[:limit]]


def changes(key: str) -> tuple[ChangeRow, ...]:
    """The last changes of a counter, the newest first."""
    with connections[alias()].cursor() as cursor:
        cursor.execute(_CHANGES, (CHANGE_ROWS, key, CHANGE_ROWS))
        rows = [dict(zip(_CHANGE_COLUMNS, row, strict=True)) for row in cursor.fetchall()]
    found = (ChangeRow.read(row | {"data": json.loads(row["data"])}) for row in rows)
    return tuple(change for change in found if change is not None)


def cells(key: str) -> tuple[CellRow, ...]:
    """The rows of a counter that is kept in several; none of one in one row."""
    records = CounterRecord.objects.using(alias()).filter(counter=key).order_by("shard")
    found = tuple(
        CellRow(shard=row.shard, value=_own_value(row), writes=row.writes) for row in records
    )
    return found if len(found) > 1 else ()


def _own_value(row: CounterRecord) -> int:
    own: Any = row.cell.get("value")
    return int(row.initial if own is None and not row.shard else own or 0)


def counts(now_ms: int) -> dict[str, int]:
    """How many counters are in each state."""
    with bounded() as using:
        records = CounterRecord.objects.using(using).filter(shard=0)
        found = records.annotate(shown=_shown(now_ms)).order_by().values_list("shown")
        return dict.fromkeys(COUNTER_STATES, 0) | dict(found.annotate(Count("key")))


def _after(wanted: Filter, cursor: Cursor | None, *, now_ms: int, limit: int) -> list[CounterRow]:
    with bounded() as using:
        found = _records(using, wanted, now_ms).filter(_beyond(cursor, "gt")).order_by(*_ORDER)
        return matching(found, CounterRow.read, wanted=wanted, now_ms=now_ms, limit=limit)


def _before(wanted: Filter, cursor: Cursor, *, now_ms: int, limit: int) -> list[CounterRow]:
    with bounded() as using:
        found = _records(using, wanted, now_ms).filter(_beyond(cursor, "lt")).order_by(*_BACK)
        return matching(found, CounterRow.read, wanted=wanted, now_ms=now_ms, limit=limit)[::-1]


def _records(using: str, wanted: Filter, now_ms: int) -> QuerySet[CounterRecord]:
    """What may match, with what it is sorted by: bytes of names, as Python and scripts do."""
    found = CounterRecord.objects.using(using).filter(shard=0)
    found = found.annotate(
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
        case "value":
            return Q(**{f"value__{'gt' if term.above else 'lt'}": term.amount})
        case _:
            return any_of(Q(_SaidIn(Value(value), _said())) for value in term.values)


def _said() -> Concat:
    """What `CounterRow.haystack` is made of."""
    space = Value(" ")
    return Concat(
        "key", space, KT("last__op_id"), space, KT("last__actor"), output_field=TextField()
    )


class _SaidIn(Func):
    """Whether the second text holds the first, whatever the case."""

    template = "(position(lower(%(expressions)s)) > 0)"
    arg_joiner = ") IN lower("
    output_field = BooleanField()


def _shown(now_ms: int) -> BaseExpression:
    """`CounterRow.state_at` as the database says it."""
    lately = time_at(ms=now_ms) - timedelta(milliseconds=COUNTING_MS)
    return Case(
        When(~Q(disputed=""), then=Value(CounterState.DISPUTED.value)),
        When(gap=True, then=Value(CounterState.UNKNOWN.value)),
        When(
            Q(value=F("minimum")) | Q(value=F("maximum")),
            then=Value(CounterState.AT_BOUND.value),
        ),
        When(
            Q(changed_at__gt=lately) & Q(last__isnull=False),
            then=Value(CounterState.COUNTING.value),
        ),
        default=Value(CounterState.STILL.value),
        output_field=TextField(),
    )


LIST: Final = Listing(
    after=_after, before=_before, cursor_of=Cursor.of, cursor_from=Cursor.parse, counts=counts
)
