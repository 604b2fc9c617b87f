"""What a queue is asked for with: checked once, before anything is sent."""

from collections.abc import Mapping
from typing import Any

from coordination import conf
from coordination.exceptions import InvalidArgument, NotSupportedByStore
from coordination.kernel import durations, names, nearest
from coordination.queues.types import BATCH_MAX, Capability

DECLARED = ("visibility", "max_attempts", "dead_letter", "max_length")
VISIBILITY_MS_MAX = 24 * 3_600_000
COUNT_MAX = 2**31 - 1


def declared_fields(
    name: str, given: Mapping[str, Any], *, store: str, able: frozenset[Capability]
) -> dict[str, Any]:
    """Fields of `Declaration` that were given. Raises InvalidArgument, NotSupportedByStore."""
    refuse_unknown(given)
    fields: dict[str, Any] = {}
    if "visibility" in given:
        fields["visibility_ms"] = lease_ms(given["visibility"], what="visibility")
    if "max_attempts" in given:
        fields["max_attempts"] = count(given["max_attempts"], what="max_attempts")
    if "dead_letter" in given:
        fields["dead_letter"] = _dead_letter(name, given["dead_letter"])
    if "max_length" in given:
        bound = given["max_length"]
        fields["max_length"] = None if bound is None else count(bound, what="max_length")
        if bound is not None and Capability.BOUND not in able:
            raise NotSupportedByStore(f"Store {store!r} has no max_length.", store=store, name=name)
    return fields


def refuse_unknown(given: Mapping[str, Any]) -> None:
    """Raise InvalidArgument for an option that `queue` does not take."""
    if "timeout" in given:
        raise InvalidArgument(
            "a queue takes no timeout=: pass visibility= for how long a message belongs to who "
            "took it, or wait= to reserve() for how long you wait for one."
        )
    for option in given:
        if option not in DECLARED:
            raise InvalidArgument(nearest.unknown_message("option", option, (*DECLARED, "using")))


def defaults() -> dict[str, Any]:
    """Fields of `Declaration` by the settings."""
    settings = conf.current().queues
    return {"visibility_ms": settings.visibility_ms, "max_attempts": settings.max_attempts}


def lease_ms(seconds: object, *, what: str) -> int:
    """How long a message belongs to its taker. Raises InvalidArgument."""
    milliseconds = durations.to_ms(seconds, what=what)
    if milliseconds > VISIBILITY_MS_MAX:
        raise InvalidArgument(
            f"{what} must be at most {VISIBILITY_MS_MAX // 1000} seconds, not {seconds!r}."
        )
    return milliseconds


def count(number: object, *, what: str, most: int = COUNT_MAX) -> int:
    """A count from 1. Raises InvalidArgument."""
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= most:
        raise InvalidArgument(f"{what} must be an int from 1 to {most}, not {number!r:.40}.")
    return number


def batch(number: object) -> int:
    """How many messages at once. Raises InvalidArgument."""
    return count(number, what="batch", most=BATCH_MAX)


def wait_s(wait: object) -> float | None:
    """A wait in seconds; None is for ever. Raises InvalidArgument."""
    return None if wait is None else durations.to_ms(wait, what="wait", zero=True) / 1000


def _dead_letter(name: str, dead_letter: object) -> str | None:
    if dead_letter is None:
        return None
    names.validate_name(dead_letter, what="dead_letter")
    if dead_letter == name:
        raise InvalidArgument(f"dead_letter of queue {name!r} must be another queue.", name=name)
    return str(dead_letter)
