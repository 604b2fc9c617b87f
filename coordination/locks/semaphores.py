"""`semaphore`: at most so many at once, a lease for each."""

from typing import Any

from coordination.locks.leased import Leased
from coordination.locks.options import OF_LOCKS, count, options_of, resource_of
from coordination.locks.types import Kind, Mode

KNOWN = tuple(option for option in OF_LOCKS if option != "shared")


class Semaphore(Leased):
    """A semaphore by name; one object has at most one permit."""


def semaphore(name: str, *, permits: int, **options: Any) -> Semaphore:
    """A permit of a semaphore; nothing is sent before `acquire`.

    Permits are leases: one whose holder died is free again when its lease ends, and giving one back
    twice is an error instead of one too many. `permits` belongs to the call: with different numbers
    each call waits until fewer than its own are held.

    Args:
        name: as for `lock`; a lock of the same name is something else.
        permits: how many may have one at once, from 1 to 10,000.
        **options: ttl, wait, renew, max_hold, using, owner, metadata as for `lock`.

    Raises InvalidName, InvalidArgument, NotSupportedByStore.
    """
    resource = resource_of(Kind.SEMAPHORE, name)
    limit = count(permits, what="permits")
    return Semaphore(
        resource, options_of(resource, options, known=KNOWN, mode=Mode.PERMIT, limit=limit)
    )
