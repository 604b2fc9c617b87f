"""Stale writes that a resource refused, told to the records by the process that was refused.

No store of locks has an event of them, and the refusal raises, which mostly rolls back the caller's
transaction. So the row is written on a connection of its own, before the error goes on. It is
evidence and nothing decides from it: what cannot be told within `DEADLINE_MS` is left out.
"""

import logging
import os
import time
from dataclasses import dataclass
from functools import cache

from django.db import connections

from coordination import conf
from coordination.connections.postgresql_pool import Pool

logger = logging.getLogger(__name__)

DEADLINE_MS = 250
"""How long telling may hold up the error, connecting included."""
AGAIN_S = 60.0
"""The same refusal is not told again for so long."""
TOLD_S_MAX = 10
"""How many a process tells in one second; a loop over many rows must not flood the records."""
PAUSE_S = 10.0
"""How long nothing is told after it could not be: the next error is not held up at all."""
REMEMBERED_MAX = 1_000
WHAT_CHARS_MAX = 200

# A number alone does not say of which lock it is. Where tokens come of the clock the grant was
# recorded about when its token says; elsewhere (ZooKeeper) the row is of no lock.
TELL = """
INSERT INTO concord_lock_refusal (key, at, what, token, newer, owner)
SELECT coalesce(nullif($1::text, ''), g.key, ''), clock_timestamp(), $2, $3::bigint, $4::bigint,
    coalesce(nullif($5::text, ''), g.owner, '')
FROM (VALUES (1)) one LEFT JOIN LATERAL (
    SELECT key, owner FROM concord_lock_grant
    WHERE $1::text = '' AND token = $3::bigint
        AND granted_at BETWEEN to_timestamp($3::bigint / 1e6) - interval '10 s'
            AND to_timestamp($3::bigint / 1e6) + interval '10 s'
    LIMIT 1
) g ON true
WHERE NOT EXISTS (
    SELECT FROM concord_lock_refusal
    WHERE at > clock_timestamp() - $6::int * interval '1 s' AND what = $2 AND token = $3::bigint
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleWrite:
    """One write that was refused because a newer token had written."""

    what: str
    """The resource, e.g. ``shop.Order 88197``."""
    token: int
    newer: int | None
    key: str = ""
    """Of the lock whose grant it came with; empty when it came with a number alone."""
    owner: str = ""


class Restraint:
    """What need not be told, or must not be now. Times are monotonic seconds.

    Without a mutex: what threads miss of each other here costs a row, or a moment.
    """

    def __init__(self) -> None:
        self._told: dict[tuple[str, int], float] = {}
        self._second, self._in_second = 0, 0
        self._not_before = float("-inf")

    def allows(self, write: StaleWrite, now: float) -> bool:
        """Whether to tell of it; then it counts as told."""
        what = (write.what, write.token)
        if now < self._not_before or now - self._told.get(what, float("-inf")) < AGAIN_S:
            return False
        if self._second != int(now):
            self._second, self._in_second = int(now), 0
        if self._in_second >= TOLD_S_MAX:
            return False
        self._in_second += 1
        if len(self._told) >= REMEMBERED_MAX:
            self._told.clear()  # The database compares as well.
        self._told[what] = now
        return True

    def failed(self, write: StaleWrite, now: float) -> None:
        """It could not be told."""
        self._told.pop((write.what, write.token), None)
        self._not_before = now + PAUSE_S


def tell(write: StaleWrite) -> None:
    """Put it into the records, once, within `DEADLINE_MS`. Raises nothing: another error goes on.

    Nothing is told where the coordinator's database is not PostgreSQL, which has no records.
    """
    try:
        using = conf.current().transactions.using
        if connections[using].vendor == "postgresql" and _restraint.allows(write, _now()):
            _write(using, write)
    except Exception as error:  # noqa: BLE001 - whatever it is, the refusal is what the caller must hear of
        _restraint.failed(write, _now())
        logger.warning("the refused write of %s was not recorded: %s", write.what, error)


def _write(using: str, write: StaleWrite) -> None:
    values = (
        *(write.key, write.what[:WHAT_CHARS_MAX], write.token, write.newer, write.owner),
        int(AGAIN_S),
    )
    _pool(using).run(TELL, values, deadline_ms=DEADLINE_MS)


@cache
def _pool(using: str) -> Pool:
    return Pool(using, store=using, connect_ms=DEADLINE_MS)


def _now() -> float:
    return time.monotonic()


_restraint = Restraint()


def _begin_anew() -> None:
    global _restraint  # noqa: PLW0603 - a child's refusals are its own
    _restraint = Restraint()


os.register_at_fork(after_in_child=_begin_anew)
