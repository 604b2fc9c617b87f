"""What a prepared branch holds up in its database: its locks, who waits for them, and vacuum.

PostgreSQL shows the locks of a prepared transaction without a pid, under a virtual transaction
whose name depends on version and restarts: it is that of the lock on the transaction's own id.
Among those who block a session it is named as pid 0.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from coordination.connections import database
from coordination.connections.database import UNREACHABLE, Statement, StatementRefused
from coordination.transactions.explaining import HeldUp, Radius

logger = logging.getLogger(__name__)

DEADLINE_MS = 2_000
SESSIONS_MAX = 20
# `pg_blocking_pids` is asked of those who wait alone: it takes every lock table's latch.
RADIUS = """
WITH prepared AS (
    SELECT x.gid, x.prepared, x.transaction AS xid, o.virtualtransaction AS holder
    FROM pg_prepared_xacts x LEFT JOIN pg_locks o ON o.locktype = 'transactionid'
        AND o.transactionid = x.transaction AND o.mode = 'ExclusiveLock' AND o.pid IS NULL
    WHERE x.database = current_database() AND x.gid = ANY(%s::text[])
), held AS MATERIALIZED (
    SELECT p.gid, h.* FROM prepared p
    JOIN pg_locks h ON h.virtualtransaction = p.holder AND h.pid IS NULL AND h.granted
), waits AS MATERIALIZED (
    SELECT w.*, pg_blocking_pids(w.pid) AS blockers FROM pg_locks w WHERE NOT w.granted
), held_up AS (
    SELECT DISTINCT ON (h.gid, w.pid) h.gid, w.pid,
        extract(epoch FROM clock_timestamp() - coalesce(w.waitstart, clock_timestamp()))::float8
            AS waited_s, left(coalesce(a.query, ''), 120) AS query
    FROM held h JOIN waits w ON 0 = ANY (w.blockers) AND w.locktype = h.locktype
        AND (w.database, w.relation, w.page, w.tuple, w.transactionid, w.classid, w.objid)
            IS NOT DISTINCT FROM
            (h.database, h.relation, h.page, h.tuple, h.transactionid, h.classid, h.objid)
    LEFT JOIN pg_stat_activity a ON a.pid = w.pid
    ORDER BY h.gid, w.pid
)
SELECT p.gid, extract(epoch FROM clock_timestamp() - p.prepared)::float8, age(p.xid),
    (SELECT count(*) FROM held h WHERE h.gid = p.gid),
    (SELECT coalesce(array_agg(DISTINCT c.relname::text), '{}') FROM held h
        JOIN pg_class c ON c.oid = h.relation AND c.relkind IN ('r', 'p')
        WHERE h.gid = p.gid AND c.relname NOT LIKE 'concord\\_%%'),
    (SELECT coalesce(array_agg(s.pid ORDER BY s.waited_s DESC), '{}') FROM held_up s
        WHERE s.gid = p.gid),
    (SELECT coalesce(array_agg(s.waited_s ORDER BY s.waited_s DESC), '{}') FROM held_up s
        WHERE s.gid = p.gid),
    (SELECT coalesce(array_agg(s.query ORDER BY s.waited_s DESC), '{}') FROM held_up s
        WHERE s.gid = p.gid)
FROM prepared p ORDER BY p.prepared
"""


def read(using: str, branch_gids: Sequence[str]) -> list[Radius]:
    """Of those branches that are prepared in this database; none where it does not answer."""
    statement = Statement(RADIUS, (list(branch_gids),))
    try:
        rows = database.run(using, statement, deadline_ms=DEADLINE_MS)[0].rows
    except (StatementRefused, *UNREACHABLE) as error:
        logger.warning("cannot see what is prepared on %s: %s", using, error)
        return []
    return [
        Radius(
            branch_gid=gid,
            using=using,
            prepared_s=prepared_s,
            transactions=age,
            locks=locks,
            tables=tuple(tables),
            sessions=tuple(
                HeldUp(pid=pid, waited_s=waited_s, query=query)
                for pid, waited_s, query in zip(pids, waits, queries, strict=True)
            )[:SESSIONS_MAX],
        )
        for gid, prepared_s, age, locks, tables, pids, waits, queries in rows
    ]
