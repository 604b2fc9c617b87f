"""The rules for what callers of counters pass. Everything here is said before anything is sent."""

from typing import Any

from coordination.counters.types import SHARDS_MAX, Rules
from coordination.exceptions import InvalidArgument, NotSupportedByStore
from coordination.kernel import names
from coordination.kernel.arguments import INTEGER_MAX

BATCH_MAX = 1_000
"""More in one call would pass the deadline of a store that writes each to a table."""
HISTORY_MAX = 10_000


def integer(value: object, *, what: str, name: str) -> int:
    """A whole number that every store holds exactly. Raises InvalidArgument."""
    # Not isinstance: True is no amount. The common case first.
    if type(value) is not int:
        raise InvalidArgument(
            f"{what} of counter {name!r} must be an int, not {type(value).__name__}: "
            f"{shown(value)}.",
            name=name,
        )
    if not -INTEGER_MAX <= value <= INTEGER_MAX:
        raise InvalidArgument(
            f"{what} of counter {name!r} is beyond ±(2^53-1): {shown(value)}.", name=name
        )
    return value


def rules_of(
    name: object, *, initial: Any, minimum: Any, maximum: Any, shards: Any, store: str
) -> Rules:
    """What a counter is declared with. Raises InvalidName, InvalidArgument, NotSupportedByStore."""
    name = names.validate_name(name, what="counter name")
    integer(initial, what="initial", name=name)
    for what, bound in (("minimum", minimum), ("maximum", maximum)):
        if bound is not None:
            integer(bound, what=what, name=name)
    if type(shards) is not int or not 1 <= shards <= SHARDS_MAX:
        raise InvalidArgument(
            f"shards of counter {name!r} must be from 1 to {SHARDS_MAX}, not {shown(shards)}.",
            name=name,
        )
    rules = Rules(name, initial, minimum, maximum, shards)
    if shards > 1 and (minimum is not None or maximum is not None):
        raise NotSupportedByStore(
            f"Counter {name!r} has {shards} shards and a bound: no store can compare a bound with "
            "a sum that many change at once. Leave out one of them.",
            name=name,
            store=store,
        )
    if not rules.lowest <= initial <= rules.highest:
        raise InvalidArgument(
            f"initial of counter {name!r} is {initial}, which is not from {rules.lowest} to "
            f"{rules.highest}.",
            name=name,
        )
    return rules


def op_id_of(op_id: object, *, name: str) -> str:
    """The id of a call. Raises InvalidArgument."""
    try:
        return names.validate_name(op_id, what="op_id")
    except ValueError as error:
        raise InvalidArgument(f"Counter {name!r}: {error}", name=name) from None


def shown(value: object) -> str:
    """A value as errors tell of it."""
    if isinstance(value, int) and value.bit_length() > 200:
        # Python refuses to write out thousands of digits.
        return f"an int of {value.bit_length()} bits"
    return f"{value!r:.80}"
