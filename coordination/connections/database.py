"""PostgreSQL below Django's ORM: the engine's own statements, several in one round trip.

They run on Django's connection of the alias, so they share its transaction, but not through its
cursors: a pipeline costs one round trip for all statements, and a cursor of Django's 100 µs each.
Every call has a deadline; psycopg itself has none, and a server that is stopped (SIGSTOP, a frozen
disk) would hold the caller for ever.

Where the alias's OPTIONS have a `prepare_threshold`, statements are prepared by name, which saves
the server from planning them anew: leave it out behind a pool that lends connections by
transaction and does not know of prepared statements.
"""

import time

import psycopg
from django.db import InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from coordination.connections.database_errors import (
    NOT_IN_PREREQUISITE_STATE,
    UNDEFINED_OBJECT,
    UNREACHABLE,
    ConnectionLost,
    StatementRefused,
    translate,
)
from coordination.connections.pipeline import (
    Exchange,
    Pipeline,
    Reply,
    Statement,
    log_unheard,
    wait,
)
from coordination.exceptions import StoreUnavailable

__all__ = [
    "NOT_IN_PREREQUISITE_STATE",
    "UNDEFINED_OBJECT",
    "UNREACHABLE",
    "ConnectionLost",
    "Exchange",
    "Reply",
    "Statement",
    "StatementRefused",
    "answered",
    "commit_is_held",
    "in_transaction",
    "post",
    "run",
    "start",
    "translate",
    "wait",
]

CALL_DEADLINE_MS = 10_000


def run(using: str, *statements: Statement, deadline_ms: int = CALL_DEADLINE_MS) -> list[Reply]:
    """Run `statements` on the alias's connection in one round trip; the first refusal stops them.

    Outside a transaction PostgreSQL takes them as one implicit transaction.

    Raises StatementRefused when the server says no, ConnectionLost (outcome unknown) when the
    connection breaks or `deadline_ms` passes, StoreUnavailable (not applied) without a connection.
    """
    return answered(start(using, *statements, deadline_ms=deadline_ms)).replies()


def start(
    using: str,
    *statements: Statement,
    deadline_ms: int = CALL_DEADLINE_MS,
    alone: bool = False,
) -> Exchange:
    """Send `statements` without waiting, behind whatever else is under way on the connection.

    Never raises for what the server does: the exchange's `replies` does, once it was waited for.
    Whoever else uses the connection, a cursor of Django's for one, waits for it first.

    `alone` makes them a transaction of their own where `atomic()` is open and nothing sent in it.
    """
    due = time.monotonic() + deadline_ms / 1000
    connection = connections[using]
    try:
        pipeline = _pipeline(connection)
    except StoreUnavailable as error:
        return Exchange(due=due, answered=True, error=error)
    return pipeline.send(connection, statements, due=due, alone=alone)


def post(using: str, *statements: Statement, deadline_ms: int = CALL_DEADLINE_MS) -> None:
    """Send `statements` and go on: for what may be lost. An error is logged once it is known."""
    exchange = start(using, *statements, deadline_ms=deadline_ms)
    if exchange.error is not None:
        log_unheard(exchange.error)
    exchange.unheard = True


def answered(exchange: Exchange) -> Exchange:
    """The same exchange, waited for."""
    wait(exchange)
    return exchange


def _pipeline(connection: BaseDatabaseWrapper) -> Pipeline:
    """The pipeline of the alias's connection, which is opened if need be."""
    if connection.vendor != "postgresql":
        raise TypeError(
            f"database alias {connection.alias!r} is {connection.vendor}, not PostgreSQL"
        )
    raw = _open(connection)
    known: Pipeline | None = connection.__dict__.get("concord_pipeline")
    if known is None or known.raw is not raw:
        known = connection.__dict__["concord_pipeline"] = Pipeline(raw)
    return known


def _open(connection: BaseDatabaseWrapper) -> psycopg.Connection[None]:
    if connection.connection is None:
        try:
            # Not the wrapper's own attribute: a pipeline under way puts its waiting there.
            type(connection).ensure_connection(connection)
        except (OperationalError, InterfaceError) as error:
            raise StoreUnavailable(
                f"cannot connect to database {connection.alias!r}: {error}", store=connection.alias
            ) from error
    raw: psycopg.Connection[None] = connection.connection
    if raw.closed:
        connection.close()
        return _open(connection)
    return raw


def in_transaction(using: str) -> bool:
    """Whether the caller's thread has an `atomic()` block open, or autocommit off, on the alias."""
    connection = connections[using]
    if connection.in_atomic_block or not connection.settings_dict["AUTOCOMMIT"]:
        return True
    # Not get_autocommit(): that would connect.
    return connection.connection is not None and not connection.autocommit


def commit_is_held(using: str) -> bool:
    """Whether the block around will be prepared, and not committed, at its end (`Attempt`)."""
    return "_commit" in connections[using].__dict__
