"""Asks stores how their queues stand, and keeps it: depth, age, totals, and rates by the time.

Any number of samplers may run: a sample that is older than the one that is kept changes nothing.
What the totals rose by since the last sample goes into the bucket of now, so rates are exact even
where events were lost; but not when nobody looked for long, since then nobody knows when it was.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from coordination import conf
from coordination.connections import database
from coordination.connections.database import Statement
from coordination.exceptions import CoordinationError, NotSupportedByStore
from coordination.kernel.settings import ZOOKEEPER
from coordination.queues import declaring
from coordination.queues.events import key_of
from coordination.queues.rounds import Rounds
from coordination.queues.store import QueueStore
from coordination.queues.stores import queue_store
from coordination.queues.types import Declaration, Stats

logger = logging.getLogger(__name__)

BUCKET_S: Final = 10
UNSEEN_S: Final = 30
"""A sample that comes so long after the one before tells of no time that one could name."""
SAMPLES_MAX: Final = 100
"""Of one store in one step."""
RETRY_S, RETRY_S_MAX = 1.0, 10.0

_COUNTS: Final = ("delivered", "acked", "died", "expired", "lapsed")
_TOTALS: Final = (
    *("published", "acked", "died", "expired", "purged", "moved_in", "moved_out", "redriven"),
    *("delivered", "lapsed"),
)
_GAUGES: Final = ("ready", "grouped", "delayed", "in_flight", "dead")
_TYPES: Final = {
    "key": "text",
    "store": "text",
    "name": "text",
    "sampled_at": "timestamptz",
    **dict.fromkeys(_GAUGES, "bigint"),
    "oldest_at": "timestamptz",
    "publishing_paused": "boolean",
    "consuming_paused": "boolean",
    "max_length": "bigint",
    "dead_letter": "text",
    "options": "jsonb",
    "extra": "jsonb",
    **dict.fromkeys(_TOTALS, "bigint"),
}


def _rise(column: str) -> str:
    """What a total rose by, where the sample before is known and near; never less than 0."""
    came = "published + {0}.moved_in + {0}.redriven" if column == "came" else column
    new, old = (f"{name}.{came.format(name)}" for name in ("x", "was"))
    return (
        f"CASE WHEN was.seen_at > clock_timestamp() - interval '{UNSEEN_S} s' "
        f"THEN greatest(0, {new} - ({old})) END"
    )


_NEWER: Final = (
    # By the store's clock; one that was set back shall not keep samples out for ever.
    "(was.key IS NULL OR was.sampled_at IS NULL OR x.sampled_at > was.sampled_at"
    " OR was.seen_at < clock_timestamp() - interval '10 s')"
    # Of two statements in PostgreSQL at once, the one that began later may have read earlier.
    " AND NOT coalesce((x.published < was.published OR x.delivered < was.delivered"
    " OR x.acked < was.acked) AND x.sampled_at < was.sampled_at + interval '1 s', false)"
)
SAVE: Final = f"""
WITH given AS (
    SELECT * FROM jsonb_to_recordset(%s::jsonb)
        AS y({", ".join(f"{column} {type_}" for column, type_ in _TYPES.items())})
), was AS MATERIALIZED (
    SELECT r.* FROM concord_queue_record r WHERE r.key IN (SELECT key FROM given)
    ORDER BY r.key FOR UPDATE
), newer AS (
    SELECT x.* FROM given x LEFT JOIN was USING (key) WHERE {_NEWER}
), saved AS (
    INSERT INTO concord_queue_record AS r ({", ".join(_TYPES)}, seen_at)
    SELECT {", ".join(_TYPES)}, clock_timestamp() FROM newer ORDER BY key
    ON CONFLICT (key) DO UPDATE SET
        {", ".join(f"{c} = excluded.{c}" for c in (*_TYPES, "seen_at") if c != "key")}
)
INSERT INTO concord_queue_bucket AS b (key, start, published, {", ".join(_COUNTS)},
    ready, delayed, in_flight, oldest_ms)
SELECT x.key, date_bin('{BUCKET_S} s', clock_timestamp(), 'epoch'), {_rise("came")},
    {", ".join(_rise(column) for column in _COUNTS)}, x.ready, x.delayed, x.in_flight,
    extract(epoch FROM x.sampled_at - x.oldest_at) * 1000
FROM newer x LEFT JOIN was ON was.key = x.key ORDER BY x.key
ON CONFLICT (key, start) DO UPDATE SET
    {
    ", ".join(
        f"{c} = coalesce(b.{c} + excluded.{c}, b.{c}, excluded.{c})"
        for c in ("published", *_COUNTS)
    )
},
    ready = excluded.ready, delayed = excluded.delayed, in_flight = excluded.in_flight,
    oldest_ms = excluded.oldest_ms
"""  # noqa: S608


@dataclass
class _Asked:
    """One sampler's view of one store."""

    alias: str
    rounds: Rounds = field(default_factory=Rounds)
    declared: dict[str, Declaration] = field(default_factory=dict)
    """Of each queue what it was when it was asked last: where its dead letters are."""
    not_before: float = 0.0
    retry_s: float = RETRY_S


class Sampler:
    """Samples queues of stores into the records of the database alias `using`."""

    def __init__(self, using: str, aliases: Sequence[str]) -> None:
        self._using = using
        self._asked = [_Asked(alias) for alias in aliases]

    def step(self) -> int:
        """Sample the queues whose turn it is; returns how many. A store that is away is left out.

        Raises what `database.run` raises.
        """
        return sum(self._sample(asked) for asked in self._asked)

    def _sample(self, asked: _Asked) -> int:
        if time.monotonic() < asked.not_before:
            return 0
        samples: list[Stats] = []
        try:
            store = queue_store(asked.alias)
            due = asked.rounds.due(store.names(), time.monotonic(), most=SAMPLES_MAX)
            # Extended one by one, so that what was seen before an outage is kept.
            samples.extend(_looked(asked, store, name) for name in due)
            asked.retry_s = RETRY_S
        except CoordinationError as error:
            asked.not_before = time.monotonic() + asked.retry_s
            asked.retry_s = min(asked.retry_s * 2, RETRY_S_MAX)
            logger.warning("queues of %s cannot be looked at: %s", asked.alias, error)
        if samples:
            rows = sorted(map(as_row, samples), key=lambda row: str(row["key"]))
            database.run(self._using, Statement(SAVE, (json.dumps(rows),)))
        return len(samples)


def aliases() -> list[str]:
    """Stores that may have queues."""
    stores = conf.current().stores.values()
    return [each.alias for each in stores if each.backend != ZOOKEEPER and _has_queues(each.alias)]


def _has_queues(alias: str) -> bool:
    try:
        queue_store(alias)
    except (NotSupportedByStore, ImportError):
        return False  # A SQLite in memory, or a client library that is not installed here.
    return True


def _looked(asked: _Asked, store: QueueStore, name: str) -> Stats:
    begun = time.monotonic()
    # A store that is named a queue knows what it is: this only reads it.
    known = asked.declared.get(name) or store.declare(name, {})
    stats = store.stats(known)
    if stats.declaration is not None and stats.declaration.dead_letter != known.dead_letter:
        # Only now it is known where its dead letters are.
        stats = store.stats(stats.declaration)
    asked.declared[name] = stats.declaration or known
    now = time.monotonic()
    seen = (stats.totals, stats.ready, stats.delayed, stats.in_flight, stats.dead)
    asked.rounds.looked(name, now, took_s=now - begun, seen=seen)
    return stats


def as_row(stats: Stats) -> dict[str, Any]:
    """The sampled columns of a queue's record, as JSON values."""
    totals, declared = stats.totals, stats.declaration
    oldest_at = None
    if stats.oldest_age is not None:
        oldest_at = (stats.at - timedelta(seconds=stats.oldest_age)).isoformat()
    counted = dict.fromkeys(_TOTALS)
    if totals is not None:
        words = {"died": "dead"}
        counted = {column: getattr(totals, words.get(column, column)) for column in _TOTALS}
    return {
        "key": key_of(stats.store, stats.name),
        "store": stats.store,
        "name": stats.name,
        "sampled_at": stats.at.isoformat(),
        **{gauge: getattr(stats, gauge) for gauge in _GAUGES},
        "oldest_at": oldest_at,
        "publishing_paused": stats.publishing_paused,
        "consuming_paused": stats.consuming_paused,
        "max_length": None if declared is None else declared.max_length,
        "dead_letter": "" if declared is None else declared.dead_letter or "",
        "options": {} if declared is None else declaring.as_fields(declared),
        "extra": dict(stats.extra),
        **counted,
    }
