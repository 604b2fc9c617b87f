"""The filter language of the lists: `state:in_doubt name:bank.* -protocol:2pc age:>30s "text"`.

Pure. Terms are joined by *and*; commas inside a value mean *or*; a leading minus means *not*. Each
list has its own `Grammar`. The same `Filter` judges rows in memory (`matches`) and becomes a query
in `queries`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import partial
from typing import Final, Protocol

from coordination.locks.types import Kind
from dashboard.counter_rows import CounterState
from dashboard.limits import FILTER_CHARS, FILTER_TERMS
from dashboard.lock_rows import LockState
from dashboard.queue_rows import QueueState
from dashboard.rows import DisplayState

KEYS: Final = ("state", "name", "protocol", "outcome", "participant", "node", "age")
STATES: Final = tuple(state.value for state in DisplayState)
OUTCOMES: Final = ("committed", "aborted", "none")
LOCK_KEYS: Final = ("state", "name", "owner", "queue", "store", "kind")
QUEUE_KEYS: Final = ("state", "name", "store", "dead", "ready")
QUEUE_STATES: Final = tuple(state.value for state in QueueState)
LOCK_STATES: Final = tuple(state.value for state in LockState)
COUNTER_KEYS: Final = ("state", "name", "value", "store")
COUNTER_STATES: Final = tuple(state.value for state in CounterState)
_UNIT_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_AGE: Final = re.compile(r"^([<>])=?(\d{1,9}(?:\.\d{1,3})?)(ms|s|min|m|h|d)$")
_COUNT: Final = re.compile(r"^([<>])(=?)(\d{1,6})$")
_VALUE: Final = re.compile(r"^([<>])(=?)(-?\d{1,16})$")
_TOKEN: Final = re.compile(r'\s*(-?)(?:([A-Za-z_]+):)?(?:"([^"]*)"|([^\s"]+))')


class FilterError(ValueError):
    """The text is no filter; the message names the term and the rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """The keys of one list. `known` names the values of those keys that have a fixed set."""

    keys: tuple[str, ...]
    known: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


TRANSACTIONS: Final = Grammar(keys=KEYS, known={"state": STATES, "outcome": OUTCOMES})
LOCKS: Final = Grammar(
    keys=LOCK_KEYS,
    known={"state": LOCK_STATES, "kind": tuple(kind.value for kind in Kind)},
)
COUNTERS: Final = Grammar(keys=COUNTER_KEYS, known={"state": COUNTER_STATES})
QUEUES: Final = Grammar(keys=QUEUE_KEYS, known={"state": QUEUE_STATES})


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One condition. `values` are alternatives; an amount is one value, kept in `amount`, too."""

    key: str
    values: tuple[str, ...]
    negated: bool = False
    above: bool = True
    amount: int = 0
    """Milliseconds of an age, a number of things, or the value of a counter."""

    def __str__(self) -> str:
        sign = "-" if self.negated else ""
        value = ",".join(self.values)
        if self.key == "text" or re.search(r"\s", value):
            value = f'"{value}"'
        return f"{sign}{value}" if self.key == "text" else f"{sign}{self.key}:{value}"

    def admits(self, amount: int) -> bool:
        """Whether an amount lies on the side that was asked for."""
        return amount > self.amount if self.above else amount < self.amount

    def holds(self, row: Answering, now_ms: int) -> bool:
        """Whether this condition is true of `row` at `now_ms` (negation included)."""
        return row.answers(self, now_ms) != self.negated


class Answering(Protocol):
    """A row that can be asked whether it meets a condition."""

    def answers(self, term: Term, now_ms: int) -> bool:
        """Whether it does, negation left aside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A parsed filter; `str()` of it is its canonical text, equal for equal filters."""

    terms: tuple[Term, ...] = ()

    def __str__(self) -> str:
        return " ".join(str(term) for term in self.terms)

    def __bool__(self) -> bool:
        return bool(self.terms)

    @property
    def timed(self) -> bool:
        """Whether a row may enter or leave by the mere passing of time."""
        return any(term.key in {"age", "state"} for term in self.terms)

    def matches(self, row: Answering, now_ms: int) -> bool:
        """Whether every term holds."""
        return all(term.holds(row, now_ms) for term in self.terms)

    def without(self, index: int) -> Filter:
        """This filter with one term less, for the chip's remove button."""
        return Filter(terms=self.terms[:index] + self.terms[index + 1 :])


def parse(text: str, grammar: Grammar = TRANSACTIONS) -> Filter:
    """Parse a filter.

    Args:
        text: what stands in the filter box or the URL.
        grammar: the keys of the list it is for.

    Raises:
        FilterError: unknown key or value, unbalanced quote, too long, too many terms.
    """
    if len(text) > FILTER_CHARS:
        raise FilterError(f"The filter has {len(text)} characters; {FILTER_CHARS} are allowed.")
    if not text.isprintable():
        raise FilterError("The filter has characters that cannot be printed.")
    if text.count('"') % 2:
        raise FilterError("A quotation mark is not closed.")
    terms: list[Term] = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise FilterError(f"Cannot read the filter at “{text[position:].strip()[:20]}”.")
        terms.append(_term(grammar, *found.groups()))
        position = found.end()
    if len(terms) > FILTER_TERMS:
        raise FilterError(f"The filter has {len(terms)} terms; {FILTER_TERMS} are allowed.")
    return Filter(terms=tuple(terms))


def _term(
    grammar: Grammar, sign: str, key: str | None, quoted: str | None, bare: str | None
) -> Term:
    value = quoted if quoted is not None else bare or ""
    negated = sign == "-"
    if key is None and quoted is None and value.endswith(":") and value[:-1] in grammar.keys:
        key, value = value[:-1], ""
    if key is None:
        return Term(key="text", values=(value,), negated=negated)
    key = key.lower()
    if key not in grammar.keys:
        raise FilterError(f"There is no “{key}:”. {_hint(key, grammar.keys)}")
    if key in _AMOUNTS:
        return _AMOUNTS[key](value, negated)
    values = tuple(part.strip() for part in value.split(",") if part.strip())
    if not values:
        raise FilterError(f"“{key}:” needs a value.")
    if key == "state":
        values = tuple(part.replace("-", "_").lower() for part in values)
    if key in grammar.known:
        _known(key, values, grammar.known[key])
    return Term(key=key, values=values, negated=negated)


def _age(value: str, negated: bool) -> Term:
    found = _AGE.match(value)
    if found is None:
        raise FilterError(f"“age:{value}” is no age; write age:>30s or age:<5m.")
    sign, number, unit = found.groups()
    return Term(
        key="age",
        values=(value,),
        negated=negated,
        above=sign == ">",
        amount=int(float(number) * _UNIT_MS[unit]),
    )


def _count(key: str, value: str, negated: bool) -> Term:
    found = _COUNT.match(value)
    if found is None:
        raise FilterError(f"“{key}:{value}” is no number; write {key}:>0 or {key}:<5.")
    return _compared(key, value, negated, *found.groups())


def _value(value: str, negated: bool) -> Term:
    found = _VALUE.match(value)
    if found is None:
        raise FilterError(f"“value:{value}” is no comparison; write value:>0 or value:<=-5.")
    return _compared("value", value, negated, *found.groups())


def _compared(key: str, value: str, negated: bool, sign: str, equal: str, number: str) -> Term:
    outside = (-1 if sign == ">" else 1) if equal else 0
    return Term(
        key=key,
        values=(value,),
        negated=negated,
        above=sign == ">",
        amount=int(number) + outside,
    )


_AMOUNTS: Final[Mapping[str, Callable[[str, bool], Term]]] = {
    "age": _age,
    "value": _value,
    **{key: partial(_count, key) for key in ("queue", "dead", "ready")},
}


def _known(key: str, values: tuple[str, ...], known: tuple[str, ...]) -> None:
    for value in values:
        if value not in known:
            raise FilterError(f"“{value}” is no {key}. {_hint(value, known)}")


def _hint(word: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(word, known, n=1)
    return f"Did you mean “{near[0]}”?" if near else f"Known: {', '.join(known)}."
