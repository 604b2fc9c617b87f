"""What the auditor keeps of each row it judged: reads and one upsert."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.counters.judging import Watch

NAMED = "SELECT key, version, state FROM concord_counter_watch WHERE key = ANY(%s::text[])"
NEXT = """
SELECT key, version, state FROM concord_counter_watch WHERE key > %s ORDER BY key LIMIT %s
"""
SAVE = """
INSERT INTO concord_counter_watch (key, version, state)
SELECT key, version, state FROM jsonb_to_recordset(%s::jsonb)
    AS x(key text, version bigint, state jsonb) ORDER BY key
ON CONFLICT (key) DO UPDATE SET version = excluded.version, state = excluded.state
"""


def read_watches(using: str, keys: Collection[str]) -> dict[str, Watch]:
    """A watch of each key, new where there is none yet."""
    watches = {key: Watch(key) for key in sorted(keys)}
    if watches:
        statement = Statement(NAMED, (list(watches),))
        watches |= {each.key: each for each in _read(database.run(using, statement)[0].rows)}
    return watches


def next_watches(using: str, after: str, *, limit: int) -> list[Watch]:
    """The watches behind a key, in the order of keys."""
    return _read(database.run(using, Statement(NEXT, (after, limit)))[0].rows)


def saved(watches: Mapping[str, Watch]) -> str:
    """Watches as `SAVE` takes them."""
    return json.dumps(
        [
            {"key": key, "version": watch.version, "state": watch.as_json()}
            for key, watch in sorted(watches.items())
        ]
    )


def _read(rows: Sequence[tuple[Any, ...]]) -> list[Watch]:
    return [
        Watch.from_json(key, version, json.loads(state) if isinstance(state, str) else state)
        for key, version, state in rows
    ]
