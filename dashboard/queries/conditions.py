"""Filters as conditions of a query: what the lists' own terms are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db.models import BooleanField, F, Func, Q, Value

from dashboard.filtering import Filter, Term
from dashboard.globs import glob_pattern

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def time_at(*, ms: int = 0, us: int = 0) -> datetime:
    """So long after the epoch, as the database knows it."""
    return _EPOCH + timedelta(milliseconds=ms, microseconds=us)


def narrowed(wanted: Filter, condition: Callable[[Term], Q | None]) -> Q:
    """What narrows the search in the database; `Filter.matches` has the last word.

    Args:
        condition: a term as a query, negation left aside; None when only the row itself can tell.
    """
    query = Q()
    for term in wanted.terms:
        found = condition(term)
        if found is not None:
            query &= ~found if term.negated else found
    return query


def any_of(conditions: Iterable[Q]) -> Q:
    """Whether at least one of them holds."""
    query = Q()
    for condition in conditions:
        query |= condition
    return query


def name_is(term: Term) -> Q:
    """Whether the name is one of the term's, which may hold `*` and `?`."""
    return any_of(Q(name__regex=glob_pattern(value)) for value in term.values)


def any_member_is(column: str, member: str, term: Term) -> Q:
    """Whether in any element of a JSON list `member` is one of the term's names."""
    return any_of(
        Q(_AnyMember(F(column), Value(glob_pattern(value)), member=member)) for value in term.values
    )


class _AnyMember(Func):
    """Whether a member of any element of a JSON list matches a regular expression."""

    template = "EXISTS (SELECT 1 FROM jsonb_array_elements(%(expressions)s))"
    output_field = BooleanField()

    def __init__(self, items: F, pattern: Value, *, member: str) -> None:
        super().__init__(items, pattern, arg_joiner=f") AS e(item) WHERE e.item->>'{member}' ~ (")
