"""What the tables are to reach. Only printed; a bench asserts nothing."""

from collections.abc import Callable, Mapping

from bench.chunks import Series
from bench.locks import names
from bench.locks.contest import Contest, median, ratio
from bench.locks.tables import Contended, Pairs, Waiters
from bench.report import Goal

OWNER_CHECKING = (
    names.REDIS_PY,
    names.REDIS_PY_1MS,
    names.REDIS_LOCK,
    names.SHERLOCK,
    names.DJANGO_REDIS,
    names.POTTERY,
    names.TOOZ_REDIS,
)


def goals(free: Pairs, contended: Contended, waiters: Waiters) -> list[Goal]:
    """Goals of the three tables, with None for what could not be measured."""
    busy = contended.series
    return [
        Goal("free, Concord on Redis x EVALSHA pair", 1.1, free.speed(names.CONCORD)),
        Goal("free, with renew=False x EVALSHA pair", 1.1, free.speed(names.CONCORD_PAIR)),
        Goal(f"free, Concord on Redis x best peer: {_best(free)}", 1.0, _ahead(free)),
        Goal(
            "free, Concord on ZooKeeper x kazoo Lock",
            1.0,
            _faster(free.series, names.CONCORD_ZOOKEEPER, names.KAZOO),
        ),
        Goal(
            "contended, wait p99 : redis-py Lock's",
            0.25,
            _against(busy, names.REDIS_PY, lambda each: each.wait_ms(99)),
            at_most=True,
        ),
        Goal(
            "contended, hand-off p50 : python-redis-lock's",
            0.75,
            _against(busy, names.REDIS_LOCK, lambda each: each.hand_off_us(50)),
            at_most=True,
        ),
        Goal("contended, Jain on Redis", 0.98, _fairness(busy, names.CONCORD)),
        Goal("contended, Jain on PostgreSQL", 0.98, _fairness(busy, names.CONCORD_POSTGRESQL)),
        Goal("contended, Jain on ZooKeeper", 0.98, _fairness(busy, names.CONCORD_ZOOKEEPER)),
        Goal("contended, Jain on SQLite", 0.9, _fairness(busy, names.CONCORD_SQLITE)),
        Goal("violations of Concord's", 0, _violations(contended, waiters), at_most=True),
    ]


def _best(free: Pairs) -> str:
    known = [name for name in OWNER_CHECKING if name in free.series]
    return min(known, key=lambda name: free.series[name].per_operation_us, default="none")


def _ahead(free: Pairs) -> float | None:
    """How many times faster than the fastest of the peers that check the owner."""
    speeds = [_faster(free.series, names.CONCORD, peer) for peer in OWNER_CHECKING]
    return min((speed for speed in speeds if speed is not None), default=None)


def _faster(series: Mapping[str, Series], name: str, other: str) -> float | None:
    if name not in series or other not in series:
        return None
    return series[name].speed_against(series[other])


def _against(
    series: Mapping[str, Series], other: str, figure: Callable[[Contest], float]
) -> float | None:
    if names.CONCORD not in series or other not in series:
        return None
    return ratio(series[names.CONCORD], series[other], figure)


def _fairness(series: Mapping[str, Series], name: str) -> float | None:
    return median(series[name], lambda each: each.fairness) if name in series else None


def _violations(*tables: Contended | Waiters) -> float:
    return sum(
        series.violations
        for table in tables
        for name, series in table.series.items()
        if name.startswith("Concord")
    )
