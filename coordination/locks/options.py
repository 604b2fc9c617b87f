"""What a lock is asked for with: checked once, before anything is sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from coordination import conf
from coordination.exceptions import InvalidArgument
from coordination.kernel import durations, names, nearest
from coordination.kernel.arguments import json_arguments
from coordination.locks.types import Mode

METADATA_BYTES_MAX = 4_096
TTL_MS_MAX = 24 * 3_600_000
KNOWN = ("ttl", "wait", "shared", "renew", "max_hold", "using", "owner", "metadata")

DEFAULT: Final = object()
"""Where None means something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Of one lock object. Durations are milliseconds."""

    ttl_ms: int
    wait_ms: int | None
    """None waits for ever."""
    mode: Mode
    renew: bool
    max_hold_ms: int
    using: str | None
    owner: str | None
    metadata: str
    """JSON."""


def options_of(name: str, given: Mapping[str, Any]) -> Options:
    """Check what `lock` was called with. Raises InvalidArgument, InvalidName."""
    if "timeout" in given:
        raise InvalidArgument(
            "lock takes no timeout=: pass wait= for how long you wait for it, or ttl= for how long "
            "its lease is.",
            name=name,
        )
    for option in given:
        if option not in KNOWN:
            raise InvalidArgument(nearest.unknown_message("option", option, KNOWN), name=name)
    defaults = conf.current().locks
    ttl, max_hold, owner = given.get("ttl"), given.get("max_hold"), given.get("owner")
    return Options(
        ttl_ms=defaults.ttl_ms if ttl is None else _ttl_ms(ttl),
        wait_ms=wait_ms(given.get("wait", DEFAULT), default=defaults.wait_ms),
        mode=Mode.SHARED if given.get("shared") else Mode.EXCLUSIVE,
        renew=bool(given.get("renew", True)),
        max_hold_ms=(
            defaults.max_hold_ms if max_hold is None else durations.to_ms(max_hold, what="max_hold")
        ),
        using=given.get("using"),
        owner=None if owner is None else names.validate_name(owner, what="owner"),
        metadata=json_arguments(
            given.get("metadata") or {},
            what=f"metadata of lock {name!r}",
            bytes_max=METADATA_BYTES_MAX,
        ),
    )


def wait_ms(wait: object, *, default: int | None) -> int | None:
    """A wait in milliseconds; None is for ever. Raises InvalidArgument."""
    if wait is DEFAULT:
        return default
    return None if wait is None else durations.to_ms(wait, what="wait", zero=True)


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
