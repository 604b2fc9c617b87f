"""Compares what a test observed before and after: by how much it changed."""

from collections.abc import Mapping, Sequence
from typing import Any

Change = Any
"""A number, or numbers in the shape of what was observed."""


class Incomparable(TypeError):
    """What was observed is neither numbers nor made of them, and no `effect` was given."""


def change(before: Any, after: Any) -> Change:
    """By how much numbers, or numbers in dicts and sequences, differ. Raises Incomparable."""
    if _is_number(before) and _is_number(after):
        return after - before
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        names = sorted({*before, *after}, key=repr)
        return {name: change(before.get(name, 0), after.get(name, 0)) for name in names}
    if _is_row(before) and _is_row(after) and len(before) == len(after):
        return [change(*pair) for pair in zip(before, after, strict=True)]
    raise Incomparable(
        f"observe() returned {before!r:.60}, then {after!r:.60}: how much that is cannot be told. "
        "Return numbers, or give effect=, a function from the value before to the one after."
    )


def is_nothing(difference: Change) -> bool:
    """Whether a change is none."""
    if isinstance(difference, Mapping):
        return all(is_nothing(each) for each in difference.values())
    if isinstance(difference, list):
        return all(is_nothing(each) for each in difference)
    return bool(difference == 0)


def _is_number(value: Any) -> bool:
    return hasattr(value, "__sub__") and hasattr(value, "__add__") and not isinstance(value, set)


def _is_row(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
