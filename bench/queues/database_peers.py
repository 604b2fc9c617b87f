"""A table as a queue, by psycopg and SKIP LOCKED, as many write it by hand.

Woken by NOTIFY. Within: a batch is taken and acked by one transaction that stays open while it is
worked on. Lease: taken for 30 s and counted in one transaction, deleted in another, as ours is.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import psycopg

from bench.addresses import postgresql_url
from bench.queues import names
from bench.queues.ways import MANY, WAIT_S, Hands, Publish, Way

_CREATE = """
CREATE TABLE "{0}" (id bigserial PRIMARY KEY, body text NOT NULL,
    attempts int NOT NULL DEFAULT 0, until timestamptz NOT NULL DEFAULT '-infinity');
CREATE INDEX ON "{0}" (until, id)"""
_PUBLISH = """
WITH new AS (INSERT INTO "{0}" (body) SELECT unnest(%s::text[]))
SELECT pg_notify('{0}', '')"""
_WITHIN = """
DELETE FROM "{0}" WHERE id IN
    (SELECT id FROM "{0}" ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED) RETURNING body"""
_LEASE = """
UPDATE "{0}" SET until = now() + interval '30 s', attempts = attempts + 1 WHERE id IN
    (SELECT id FROM "{0}" WHERE until < now() ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED)
RETURNING id, body"""
_ACK = 'DELETE FROM "{0}" WHERE id = ANY(%s)'

Take = Callable[[Any, str, int, Hands], bool]
"""Takes and acks a batch; whether there was one."""


def _connect() -> Any:
    return psycopg.connect(postgresql_url(), autocommit=True)


def _make(name: str) -> None:
    with _connect() as connection:
        connection.execute(_CREATE.format(name))


def _left(name: str) -> int:
    with _connect() as connection:
        (count,) = connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()
        connection.execute(f'DROP TABLE "{name}"')
    left: int = count
    return left


def _publisher(name: str) -> Publish:
    connection, sql = _connect(), _PUBLISH.format(name)

    def publish(bodies: Sequence[str]) -> None:
        connection.execute(sql, (list(bodies),))

    return publish


def _within(connection: Any, name: str, count: int, hands: Hands) -> bool:
    with connection.transaction():
        rows = connection.execute(_WITHIN.format(name), (count,)).fetchall()
        if rows:
            hands.take([body for (body,) in rows])
    return bool(rows)


def _lease(connection: Any, name: str, count: int, hands: Hands) -> bool:
    rows = connection.execute(_LEASE.format(name), (count,)).fetchall()
    if rows:
        hands.take([body for _, body in rows])
        connection.execute(_ACK.format(name), ([id_ for id_, _ in rows],))
    return bool(rows)


def _consume(name: str, hands: Hands, *, take: Take, count: int) -> None:
    connection = _connect()
    connection.execute(f'LISTEN "{name}"')
    hands.ready()
    while not hands.complete:
        if take(connection, name, count, hands):
            hands.acked()
        else:
            for _ in connection.notifies(timeout=WAIT_S, stop_after=1):
                pass


def _way(name: str, take: Take, count: int) -> Way:
    return Way(
        name=name,
        publisher=_publisher,
        consume=partial(_consume, take=take, count=count),
        make=_make,
        left=_left,
        batch=count,
    )


WAYS = (
    _way(names.SKIP_LOCKED, _within, MANY),
    _way(names.SKIP_LOCKED_LEASE, _lease, MANY),
    _way(names.SKIP_LOCKED_ONE, _within, 1),
)
