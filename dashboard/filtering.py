"""The filter language of the lists: `state:in_doubt name:bank.* -protocol:2pc age:>30s "text"`.

Pure. Terms are joined by *and*; commas inside a value mean *or*; a leading minus means *not*. The
same `Filter` judges rows in memory (`matches`) and becomes a query in `queries.transactions`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

from dashboard.limits import FILTER_CHARS, FILTER_TERMS
from dashboard.rows import DisplayState, TransactionRow

KEYS: Final = ("state", "name", "protocol", "outcome", "participant", "node", "age")
STATES: Final = tuple(state.value for state in DisplayState)
OUTCOMES: Final = ("committed", "aborted", "none")
_UNIT_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}
_AGE: Final = re.compile(r"^([<>])=?(\d{1,9}(?:\.\d{1,3})?)(ms|s|min|m|h|d)$")
_TOKEN: Final = re.compile(r'\s*(-?)(?:([A-Za-z_]+):)?(?:"([^"]*)"|([^\s"]+))')


class FilterError(ValueError):
    """The text is no filter; the message names the term and the rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One condition. `values` are alternatives; for `age` there is one, kept in `age_ms`."""

    key: str
    values: tuple[str, ...]
    negated: bool = False
    older: bool = True
    age_ms: int = 0

    def __str__(self) -> str:
        sign = "-" if self.negated else ""
        value = ",".join(self.values)
        if self.key == "text" or re.search(r"\s", value):
            value = f'"{value}"'
        return f"{sign}{value}" if self.key == "text" else f"{sign}{self.key}:{value}"

    def holds(self, row: TransactionRow, now_ms: int) -> bool:
        """Whether this condition is true of `row` at `now_ms` (negation included)."""
        return self._plain(row, now_ms) != self.negated

    def _plain(self, row: TransactionRow, now_ms: int) -> bool:
        match self.key:
            case "state":
                return row.state_at(now_ms) in self.values
            case "outcome":
                return (row.outcome or "none") in self.values
            case "protocol" | "node":
                return getattr(row, self.key) in self.values
            case "name":
                return any(_glob(value).match(row.name) for value in self.values)
            case "participant":
                return any(
                    _glob(value).match(branch.participant)
                    for branch in row.branches
                    for value in self.values
                )
            case "age":
                age_ms = row.age_ms(now_ms)
                return age_ms > self.age_ms if self.older else age_ms < self.age_ms
            case _:
                return any(value.casefold() in row.haystack for value in self.values)


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

    def matches(self, row: TransactionRow, now_ms: int) -> bool:
        """Whether every term holds."""
        return all(term.holds(row, now_ms) for term in self.terms)

    def without(self, index: int) -> Filter:
        """This filter with one term less, for the chip's remove button."""
        return Filter(terms=self.terms[:index] + self.terms[index + 1 :])

    def with_state(self, state: str | None) -> Filter:
        """This filter with its state terms replaced by one, or dropped."""
        rest = tuple(term for term in self.terms if term.key != "state")
        added = (Term(key="state", values=(state,)),) if state is not None else ()
        return Filter(terms=added + rest)


def parse(text: str) -> Filter:
    """Parse a filter.

    Args:
        text: what stands in the filter box or the URL.

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
        terms.append(_term(*found.groups()))
        position = found.end()
    if len(terms) > FILTER_TERMS:
        raise FilterError(f"The filter has {len(terms)} terms; {FILTER_TERMS} are allowed.")
    return Filter(terms=tuple(terms))


def _term(sign: str, key: str | None, quoted: str | None, bare: str | None) -> Term:
    value = quoted if quoted is not None else bare or ""
    negated = sign == "-"
    if key is None and quoted is None and value.endswith(":") and value[:-1] in KEYS:
        key, value = value[:-1], ""
    if key is None:
        return Term(key="text", values=(value,), negated=negated)
    key = key.lower()
    if key not in KEYS:
        raise FilterError(f"There is no “{key}:”. {_hint(key, KEYS)}")
    if key == "age":
        return _age(value, negated=negated)
    values = tuple(part.strip() for part in value.split(",") if part.strip())
    if not values:
        raise FilterError(f"“{key}:” needs a value.")
    if key == "state":
        values = tuple(part.replace("-", "_").lower() for part in values)
        _known(key, values, STATES)
    elif key == "outcome":
        _known(key, values, OUTCOMES)
    return Term(key=key, values=values, negated=negated)


def _age(value: str, *, negated: bool) -> Term:
    found = _AGE.match(value)
    if found is None:
        raise FilterError(f"“age:{value}” is no age; write age:>30s or age:<5m.")
    sign, number, unit = found.groups()
    return Term(
        key="age",
        values=(value,),
        negated=negated,
        older=sign == ">",
        age_ms=int(float(number) * _UNIT_MS[unit]),
    )


def _known(key: str, values: tuple[str, ...], known: tuple[str, ...]) -> None:
    for value in values:
        if value not in known:
            raise FilterError(f"“{value}” is no {key}. {_hint(value, known)}")


def glob_pattern(glob: str) -> str:
    """The regular expression (Python's and PostgreSQL's) of a name with `*` and `?`."""
    return "^" + re.escape(glob).replace(r"\*", ".*").replace(r"\?", ".") + "$"


@lru_cache(maxsize=512)
def _glob(glob: str) -> re.Pattern[str]:
    return re.compile(glob_pattern(glob))


def _hint(word: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(word, known, n=1)
    return f"Did you mean “{near[0]}”?" if near else f"Known: {', '.join(known)}."
