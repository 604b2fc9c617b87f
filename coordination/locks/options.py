"""What a lock is asked for with: checked once, before anything is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from django.core.signals import setting_changed

from coordination import conf
from coordination.exceptions import InvalidArgument
from coordination.kernel import durations, names, nearest
from coordination.kernel.arguments import json_arguments
from coordination.locks.types import Kind, Mode, Resource

METADATA_BYTES_MAX = 4_096
TTL_MS_MAX = 24 * 3_600_000
COUNT_MAX = 10_000
OF_LOCKS = ("ttl", "wait", "shared", "renew", "max_hold", "using", "owner", "metadata")

DEFAULT: Final = object()
"""Where None means something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Of one lock object."""

    ttl_ms: int
    wait_s: float | None
    """Seconds; None waits for ever."""
    mode: Mode
    limit: int
    renew: bool
    max_hold_ms: int | None
    """None renews for ever."""
    using: str | None
    owner: str | None
    metadata: str
    """JSON."""


def resource_of(kind: Kind, name: object) -> Resource:
    """A name of this kind. Raises InvalidName."""
    return Resource(kind, names.validate_name(name, what=f"{kind} name"))


def options_of(
    resource: Resource,
    given: Mapping[str, Any],
    *,
    known: Sequence[str] = OF_LOCKS,
    mode: Mode = Mode.EXCLUSIVE,
    limit: int = 1,
) -> Options:
    """Check what a public function was called with. Raises InvalidArgument, InvalidName."""
    refuse_unknown(resource.kind, given, known)
    # Most calls are made with the same few options. 1 is True and both are 1.0, but not as options.
    items = tuple((option, type(value), value) for option, value in given.items())
    try:
        return _checked(resource.kind, items, mode, limit)
    except TypeError:  # metadata is no key
        return _checked.__wrapped__(resource.kind, items, mode, limit)


@lru_cache(maxsize=256)
def _checked(
    kind: Kind, items: tuple[tuple[str, type, Any], ...], mode: Mode, limit: int
) -> Options:
    given = {option: value for option, _, value in items}
    defaults = conf.current().locks
    ttl, max_hold, owner = given.get("ttl"), given.get("max_hold", DEFAULT), given.get("owner")
    return Options(
        ttl_ms=defaults.ttl_ms if ttl is None else _ttl_ms(ttl),
        wait_s=seconds(given.get("wait", DEFAULT), default=_in_s(defaults.wait_ms)),
        mode=Mode.SHARED if given.get("shared") else mode,
        limit=limit,
        renew=bool(given.get("renew", True)),
        max_hold_ms=_max_hold_ms(max_hold, default=defaults.max_hold_ms),
        using=given.get("using"),
        owner=None if owner is None else names.validate_name(owner, what="owner"),
        metadata=json_arguments(
            given.get("metadata") or {}, what=f"metadata of a {kind}", bytes_max=METADATA_BYTES_MAX
        ),
    )


def _forget(*, setting: str, **_: object) -> None:
    if setting == "COORDINATION":
        _checked.cache_clear()


setting_changed.connect(_forget, dispatch_uid="coordination.locks.options")


def refuse_unknown(called: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise InvalidArgument for an option that `called` does not take."""
    if "timeout" in given:
        raise InvalidArgument(
            f"{called} takes no timeout=: pass wait= for how long you wait for it, or ttl= for how "
            "long its lease is."
        )
    for option in given:
        if option not in known:
            raise InvalidArgument(nearest.unknown_message("option", option, known))


def seconds(wait: object, *, default: float | None) -> float | None:
    """A wait in seconds; None is for ever. Raises InvalidArgument."""
    if wait is DEFAULT:
        return default
    return None if wait is None else durations.to_ms(wait, what="wait", zero=True) / 1000


def count(number: object, *, what: str) -> int:
    """How many permits or parties. Raises InvalidArgument."""
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= COUNT_MAX:
        raise InvalidArgument(f"{what} must be an int from 1 to {COUNT_MAX}, not {number!r:.40}.")
    return number


def words(text: object, *, what: str) -> str:
    """What an operator says of an intervention. Raises InvalidArgument when it says nothing."""
    if not isinstance(text, str) or not text.strip():
        raise InvalidArgument(f"{what} must be a text that says it, not {text!r:.80}.")
    return text[:500]


def _ttl_ms(ttl: object) -> int:
    ttl_ms = durations.to_ms(ttl, what="ttl")
    if ttl_ms > TTL_MS_MAX:
        raise InvalidArgument(f"ttl must be at most {TTL_MS_MAX // 1000} seconds, not {ttl!r}.")
    return ttl_ms


def _in_s(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _max_hold_ms(max_hold: object, *, default: int) -> int | None:
    if max_hold is DEFAULT:
        return default
    return None if max_hold is None else durations.to_ms(max_hold, what="max_hold")
