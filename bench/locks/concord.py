"""Concord's locks by the public API, on every store there is."""

from functools import partial
from types import TracebackType

from bench.locks.names import (
    CONCORD,
    CONCORD_PAIR,
    CONCORD_POSTGRESQL,
    CONCORD_SQLITE,
    CONCORD_ZOOKEEPER,
)
from bench.locks.ways import LEASE_S, PATIENCE_S, Hold, Way
from coordination import lock


class _AcquireRelease:
    """Both calls, without a renewal."""

    def __init__(self, name: str) -> None:
        self._lock = lock(name, ttl=LEASE_S, wait=PATIENCE_S, renew=False, using="redis")

    def __enter__(self) -> None:
        if self._lock.acquire() is None:
            raise RuntimeError("still busy")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.release()


def _on(alias: str) -> Hold:
    return partial(lock, ttl=LEASE_S, wait=PATIENCE_S, using=alias)


ON_REDIS = (
    Way(name=CONCORD, make=partial(_on, "redis")),
    Way(name=CONCORD_PAIR, make=lambda: _AcquireRelease),
)
ON_POSTGRESQL = Way(name=CONCORD_POSTGRESQL, make=partial(_on, "database"))
ON_SQLITE = Way(name=CONCORD_SQLITE, make=partial(_on, "sqlite"))
ON_ZOOKEEPER = Way(name=CONCORD_ZOOKEEPER, make=partial(_on, "zookeeper"), chunk_s=0.1)
