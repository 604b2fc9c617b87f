"""A deadline for what Django itself sends to PostgreSQL.

psycopg waits for ever for a server that is stopped (SIGSTOP, a frozen disk), and with it the ORM
and the COMMIT of `atomic()`. Here the wait of Django's connection is replaced for the length of a
block.
SQLite has no server; a file that stays locked is given up after its own `timeout`.
"""

import select
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
from django.db import InterfaceError, OperationalError, connections, transaction
from psycopg.waiting import Ready, Wait

from coordination.connections.database import in_transaction
from coordination.exceptions import OutcomeUnknown, StoreUnavailable

STATEMENT_MS = 10_000
"""How long one statement may take, waiting for other writers of the row included."""


class NoAnswer(psycopg.OperationalError):
    """The server did not answer in time; the connection was given up."""


@contextmanager
def answering(using: str) -> Iterator[None]:
    """Give up on a server that does not answer a statement of this block within `STATEMENT_MS`.

    Raises OutcomeUnknown; StoreUnavailable (not applied) inside a transaction, which is lost with
    its connection. Connecting takes as long as `connect_timeout` in the alias's OPTIONS allows.
    """
    surrounded = in_transaction(using)
    try:
        with bounded(using):
            yield
    except OperationalError as error:
        if not isinstance(error.__cause__, NoAnswer):
            raise
        refused = StoreUnavailable if surrounded else OutcomeUnknown
        raise refused(
            f"database {using!r} did not answer: {error}", store=using, reason=str(error)
        ) from error


@contextmanager
def reaching(using: str) -> Iterator[None]:
    """As `answering`, for who knows nothing of Django: a lost connection is its error, too."""
    surrounded = in_transaction(using)
    try:
        with answering(using):
            yield
    except (OperationalError, InterfaceError) as error:
        refused = StoreUnavailable if surrounded else OutcomeUnknown
        raise refused(
            f"database {using!r} failed: {error}", store=using, reason=str(error)
        ) from error


@contextmanager
def writing(using: str) -> Iterator[None]:
    """`atomic()` and `answering` in one, for what takes several statements."""
    surrounded = in_transaction(using)
    with answering(using), transaction.atomic(using=using):
        if not surrounded:
            transaction.on_commit(partial(unbounded, using), using=using)
        yield


@contextmanager
def bounded_atomic(using: str) -> Iterator[None]:
    """`atomic()` that begins and ends `bounded`; what the block itself sends is not."""
    block = transaction.atomic(using=using)
    with bounded(using):
        block.__enter__()
    try:
        yield
    except BaseException as error:
        with bounded(using):
            block.__exit__(type(error), error, error.__traceback__)
        raise
    with bounded(using):
        block.__exit__(None, None, None)


@contextmanager
def bounded(using: str) -> Iterator[None]:
    """Let Django's statements on the alias fail as with a lost connection (NoAnswer) when late."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        yield
        return
    if not connection.in_atomic_block:  # there it is open, or lost for good
        connection.ensure_connection()
    raw: psycopg.Connection[Any] | None = connection.connection
    if raw is None or "wait" in raw.__dict__:  # or within another such block
        yield
        return
    raw.wait = partial(_wait, raw)  # type: ignore[method-assign]
    try:
        yield
    except OperationalError as error:
        if isinstance(error.__cause__, NoAnswer) and connection.connection is raw:
            connection.close()
        raise
    finally:
        raw.__dict__.pop("wait", None)


def unbounded(using: str) -> None:
    """Let the rest of a `bounded` block take its time: what it runs is no longer ours."""
    connection = connections[using]
    if connection.vendor == "postgresql" and connection.connection is not None:
        connection.connection.__dict__.pop("wait", None)


def _wait(
    raw: psycopg.Connection[Any], generator: Generator[Wait, Ready, Any], *_: Any, **__: Any
) -> Any:
    """As psycopg's `Connection.wait`, until the deadline."""
    due = time.monotonic() + STATEMENT_MS / 1000
    poll = select.poll()
    try:
        wanted = next(generator)
        while True:
            poll.register(raw.pgconn.socket, _events(wanted))
            wanted = generator.send(_ready(raw, poll, due))
    except StopIteration as ended:
        return ended.value


def _ready(raw: psycopg.Connection[Any], poll: "select.poll", due: float) -> Ready:
    try:
        found = poll.poll(max(0.0, due - time.monotonic()) * 1000)
    except BaseException:
        # Interrupted: the answer is still to come, and would be taken for that to the next one.
        raw.pgconn.finish()
        raise
    if not found:
        raw.pgconn.finish()
        raise NoAnswer("no answer within the deadline")
    ((_, events),) = found
    readable = events & ~select.POLLOUT
    if readable and events & select.POLLOUT:
        return Ready.RW
    return Ready.R if readable else Ready.W


def _events(wanted: Wait) -> int:
    return (select.POLLIN if wanted & Wait.R else 0) | (select.POLLOUT if wanted & Wait.W else 0)
