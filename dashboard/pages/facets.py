"""What the heads of lists have in common: chips of the filter, quick filters with counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboard.filtering import Filter, Term
from dashboard.texts import capped, number

Address = Callable[[Filter], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """One quick filter: its word, its icon, and the condition it adds."""

    key: str
    """What its count is sent under."""
    word: str
    icon: str
    term: Term
    beside: bool = False
    """Whether what it counts is counted by another one, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """The quick filters of a list, of which one at a time is chosen."""

    every: Sequence[Facet]
    count_max: int | None = None
    """Where counting stops; None: it does not."""

    @property
    def beside(self) -> list[str]:
        """What adds nothing to the number of all."""
        return [facet.key for facet in self.every if facet.beside]

    def shown(
        self, wanted: Filter, tallies: Mapping[str, int], address: Address
    ) -> list[dict[str, Any]]:
        """Each with its count and its address, behind the one that stands for all."""
        keys = {facet.term.key for facet in self.every}
        chosen = tuple(term for term in wanted.terms if term.key in keys)
        rest = tuple(term for term in wanted.terms if term.key not in keys)
        whole = sum(count for key, count in tallies.items() if key not in self.beside)
        found = [
            {
                "key": "",
                "word": "All",
                "icon": "",
                "count": self._said(whole) if tallies else "",
                "current": not chosen,
                "address": address(Filter(terms=rest)),
            }
        ]
        found += (
            {
                "key": facet.key,
                "word": facet.word,
                "icon": facet.icon,
                "count": self._said(tallies[facet.key]) if tallies else "",
                "current": [*map(str, chosen)] == [str(facet.term)],
                "address": address(Filter(terms=(facet.term, *rest))),
            }
            for facet in self.every
        )
        return found

    def _said(self, count: int) -> str:
        return number(count) if self.count_max is None else capped(count, self.count_max)


def chips(wanted: Filter, address: Address) -> list[dict[str, Any]]:
    """Each term with the address of the list without it."""
    return [
        {
            "text": str(term),
            "key": "" if term.key == "text" else f"{'-' if term.negated else ''}{term.key}:",
            "value": ",".join(term.values),
            "negated": term.negated,
            "without": address(wanted.without(index)),
        }
        for index, term in enumerate(wanted.terms)
    ]
