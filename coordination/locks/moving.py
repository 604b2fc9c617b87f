"""Moving names to another store without their tokens falling."""

from dataclasses import dataclass

from coordination.exceptions import InvalidArgument
from coordination.locks.stores import aliases_in_use, lock_store

MARGIN_US = 24 * 3_600 * 1_000_000
"""Tokens of the old store stay below the new floor for so long: time to change the route."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """A floor that was raised."""

    store: str
    floor: int
    """Every token of the store is greater from now on."""
    sources: tuple[str, ...]


def raise_floor(to: str, *, sources: tuple[str, ...] = ()) -> Raised:
    """Let every later token of store `to` be greater than what `sources` give within a day.

    Args:
        to: alias of the store that is to serve the names.
        sources: aliases that served them; by default those of ROUTES and DEFAULT.

    Raises InvalidArgument, NotSupportedByStore, and StoreUnavailable when one cannot be asked: its
    tokens are not known then.
    """
    chosen = sources or tuple(sorted(aliases_in_use() - {to}))
    if to in chosen:
        raise InvalidArgument(f"store {to!r} cannot be moved to itself.", store=to)
    if not chosen:
        raise InvalidArgument(f"no other store than {to!r} is in use: name it with --from.")
    target = lock_store(to)
    floor = max(lock_store(each).highest_token() for each in chosen) + MARGIN_US
    target.raise_tokens(floor)
    return Raised(store=to, floor=floor, sources=chosen)
