"""A queue is one thing to all who use it: whoever says what it is must say the same. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from coordination.exceptions import InvalidArgument
from coordination.queues.types import Declaration

DEAD_LETTER_SUFFIX = ".dlq"
WORDS = {
    "visibility_ms": "visibility",
    "max_attempts": "max_attempts",
    "dead_letter": "dead_letter",
    "max_length": "max_length",
}
"""Field of a declaration → what users call it."""


def first(name: str, given: Mapping[str, Any], *, defaults: Mapping[str, Any]) -> Declaration:
    """The declaration by the first who uses a queue: what was given, and defaults.

    Args:
        name: of the queue.
        given: field of `Declaration` → value, of those that were given.
        defaults: `visibility_ms` and `max_attempts` of the settings.
    """
    # A queue of dead letters has none of its own: what fails there stays there.
    own = None if name.endswith(DEAD_LETTER_SUFFIX) else name + DEAD_LETTER_SUFFIX
    fields = {"dead_letter": own, "max_length": None, **defaults, **given}
    return Declaration(name=name, **fields)


def agreed(declared: Declaration, given: Mapping[str, Any], *, store: str) -> Declaration:
    """What it was declared to be, when that is what is given now.

    Raises InvalidArgument, which names the option, both values and the remedy.
    """
    for field, value in given.items():
        stands = getattr(declared, field)
        if stands != value:
            word = WORDS[field]
            raise InvalidArgument(
                f"Queue {declared.name!r} on {store!r} was declared with {word}="
                f"{_said(field, stands)}, not {_said(field, value)}. Leave {word} out, or call "
                "redeclare() once to change it for everybody.",
                name=declared.name,
                store=store,
            )
    return declared


def changed(declared: Declaration, given: Mapping[str, Any]) -> Declaration:
    """The declaration after an operator changed what is given."""
    return replace(declared, **given)


def as_fields(declared: Declaration) -> dict[str, Any]:
    """The fields of a declaration without its name, for a store to keep as JSON."""
    fields = asdict(declared)
    del fields["name"]
    return fields


def of_fields(name: str, fields: Mapping[str, Any]) -> Declaration:
    """The declaration that a store kept; fields of later versions are ignored."""
    return Declaration(name=name, **{word: fields[word] for word in WORDS})


def _said(field: str, value: Any) -> str:
    return f"{value / 1000:g}" if field == "visibility_ms" else repr(value)
