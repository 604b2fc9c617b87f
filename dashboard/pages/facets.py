"""What the heads of lists have in common: chips of the filter, quick filters with counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dashboard.filtering import Filter


def chips(wanted: Filter, address: Callable[[Filter], str]) -> list[dict[str, Any]]:
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


def facet(
    key: str, word: str, icon: str, *, count: str, current: bool, address: str
) -> dict[str, Any]:
    """One quick filter; `key` is what its count is sent under, empty for all."""
    return {
        "state": key,
        "word": word,
        "icon": icon,
        "count": count,
        "current": current,
        "address": address,
    }
