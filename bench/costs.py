"""What an operation costs the servers: commits, flushes of the log, messages of the broker.

PostgreSQL's sessions report at most once a second, at the end of a transaction. So before each
reading there is a second of silence and then a few operations, by which every session reports; both
readings are taken at the same point of that, and what is unreported cancels out.
"""

import os
import time
from dataclasses import dataclass

import redis
from django.db import connection

from bench.chunks import Case

SILENCE_S = 1.1
FLUSHING_OPERATIONS = 10
_COUNTS = """
SELECT (SELECT sum(xact_commit) FROM pg_stat_database)::bigint,
    (SELECT wal_sync FROM pg_stat_wal)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one operation, on average. None: not counted."""

    commits: float
    flushes: float
    messages: float | None


def cost(case: Case, *, operations: int, broker: str) -> Cost:
    """Run `operations` of a case and see what the servers counted meanwhile."""
    case.repeat(FLUSHING_OPERATIONS)
    _, before = _read(case)
    done = case.repeat(operations)
    flushing, after = _read(case)
    done += flushing
    commits, flushes, messages = (
        (new - old) / done for new, old in zip(after, before, strict=True)
    )
    return Cost(commits=commits, flushes=flushes, messages=messages if broker == "redis" else None)


def _read(case: Case) -> tuple[int, tuple[int, int, int]]:
    """How many operations it took to read, and the counts."""
    time.sleep(SILENCE_S)
    done = case.repeat(FLUSHING_OPERATIONS)
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS)
        commits, flushes = cursor.fetchone()
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        # Celery's Redis transport sends each message by one LPUSH; nothing else here uses that.
        pushes = client.info("commandstats").get("cmdstat_lpush", {"calls": 0})["calls"]
    return done, (commits, flushes, pushes)
