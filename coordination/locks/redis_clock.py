"""A deadline as a Redis server will judge it, by its own clock."""

from collections.abc import Callable

from coordination.connections.redis import RedisStore
from coordination.locks.repeating import repeated


def deadline_us(store: RedisStore, remaining_ms: Callable[[], int]) -> int:
    """When `remaining_ms` will be over, in microseconds of the server's clock, or earlier.

    Raises StoreUnavailable, OutcomeUnknown.
    """
    seconds, microseconds = repeated(
        lambda deadline_ms: store.call("TIME", deadline_ms=deadline_ms),
        deadline_ms=store.deadline_ms,
    )
    # Asked after the clock: a pause of this process before it makes it less, never more.
    return int(seconds) * 1_000_000 + int(microseconds) + remaining_ms() * 1_000


def forget_later(store: RedisStore, key: str, after_ms: int) -> None:
    """Let a key go after so long. Raises StoreUnavailable, OutcomeUnknown."""
    repeated(
        lambda deadline_ms: store.call("PEXPIRE", key, after_ms, deadline_ms=deadline_ms),
        deadline_ms=store.deadline_ms,
    )
