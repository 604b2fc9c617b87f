"""What other apps may ask of counters by Celery task, in JSON."""

from typing import Any

from coordination.counters.api import Counter, counter
from coordination.exceptions import InvalidArgument

OPTIONS = ("initial", "minimum", "maximum", "shards", "using")


def add(name: str, amount: Any = 1, *, op_id: Any, **options: Any) -> dict[str, Any]:
    """Add once for `op_id`."""
    return {"value": _counter(name, options).add(amount, op_id=_known(op_id))}


def get(name: str, **options: Any) -> dict[str, Any]:
    """The value, and its version unless it has shards."""
    found = _counter(name, options)
    if options.get("shards", 1) != 1:
        return {"value": found.get()}
    value, version = found.read()
    return {"value": value, "version": version}


def compare_and_set(
    name: str, expected: Any, new: Any, *, op_id: Any, **options: Any
) -> dict[str, Any]:
    """Write `new` once for `op_id` if the value is `expected`."""
    found = _counter(name, options)
    return {"written": found.compare_and_set(expected, new, op_id=_known(op_id))}


def _counter(name: str, options: dict[str, Any]) -> Counter:
    if strange := set(options) - set(OPTIONS):
        raise InvalidArgument(
            f"A counter's options are {', '.join(OPTIONS)} and op_id; not "
            f"{', '.join(sorted(map(repr, strange)))}."
        )
    return counter(name, **options)


def _known(op_id: Any) -> str:
    # Without one, a message that is delivered twice would count twice.
    if not isinstance(op_id, str):
        raise InvalidArgument(f"An op_id is needed to count once, not {op_id!r:.80}.")
    return op_id
