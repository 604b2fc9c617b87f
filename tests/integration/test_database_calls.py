"""The engine's own statements: several in one round trip, none waited for past its deadline."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connections, transaction

from coordination.connections import database
from coordination.connections.database import ConnectionLost, Statement, StatementRefused
from coordination.exceptions import StoreUnavailable
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import ledger

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

DEADLINE_MS, SLACK_S = 300, 0.5
ONE = Statement("SELECT 1")


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    with ledger.ledgers():
        yield


@contextmanager
def stopped(using: str) -> Iterator[None]:
    """The server's process behind our connection is frozen, as by a dead disk."""
    pid = database.run(using, Statement("SELECT pg_backend_pid()"))[0].rows[0][0]
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def within_the_deadline() -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < DEADLINE_MS / 1000 + SLACK_S


@pytest.mark.parametrize("statements", [1, 5])
def test_a_frozen_server_is_given_up_at_the_deadline(statements: int) -> None:
    with stopped("bank_a"), within_the_deadline():
        with pytest.raises(ConnectionLost, match="deadline") as lost:
            database.run("bank_a", *[ONE] * statements, deadline_ms=DEADLINE_MS)
    assert lost.value.applied is None
    assert database.run("bank_a", ONE)[0].rows == [(1,)]


def test_a_statement_that_takes_too_long_is_given_up_at_the_deadline() -> None:
    with within_the_deadline(), pytest.raises(ConnectionLost):
        database.run("bank_a", Statement("SELECT pg_sleep(20)"), deadline_ms=DEADLINE_MS)
    assert database.run("bank_a", ONE)[0].rows == [(1,)]


def test_one_frozen_server_does_not_hold_up_the_others() -> None:
    with stopped("bank_a"), within_the_deadline():
        flying = [
            database.start(using, ONE, deadline_ms=DEADLINE_MS) for using in ("bank_a", "bank_b")
        ]
        database.wait(*flying)
        assert flying[1].replies()[0].rows == [(1,)]
        with pytest.raises(ConnectionLost):
            flying[0].replies()


def test_a_server_that_freezes_inside_a_block_leaves_a_usable_connection() -> None:
    with within_the_deadline(), pytest.raises(ConnectionLost):
        with transaction.atomic(using="bank_a"), stopped("bank_a"):
            database.run("bank_a", ONE, deadline_ms=DEADLINE_MS)

    assert not connections["bank_a"].in_atomic_block
    assert database.run("bank_a", ONE)[0].rows == [(1,)]


def test_a_connection_the_server_has_ended_is_lost_and_then_replaced() -> None:
    pid = database.run("bank_a", Statement("SELECT pg_backend_pid()"))[0].rows[0][0]
    database.run("bank_b", Statement("SELECT pg_terminate_backend(%s, 5000)", (pid,)))

    with pytest.raises(ConnectionLost):
        database.run("bank_a", ONE)
    assert database.run("bank_a", ONE)[0].rows == [(1,)]


def test_no_server_at_all_means_that_nothing_was_applied() -> None:
    connection = connections["bank_a"]
    connection.close()
    port = connection.settings_dict["PORT"]
    connection.settings_dict["PORT"] = 1
    try:
        with pytest.raises(StoreUnavailable) as refused:
            database.run("bank_a", ONE)
    finally:
        connection.settings_dict["PORT"] = port
    assert refused.value.applied is False


def test_the_first_refusal_undoes_what_went_before_it_and_stops_the_rest() -> None:
    add = Statement("UPDATE ledger SET amount = amount + %s", (1,))
    with pytest.raises(StatementRefused) as refused:
        database.run("bank_a", add, Statement("SELECT 1 / 0"), add)

    assert refused.value.sqlstate == "22012"
    assert ledger.amount("bank_a") == 100


def test_inside_a_block_the_statements_are_part_of_it() -> None:
    with pytest.raises(KeyError), transaction.atomic(using="bank_a"):
        database.run("bank_a", Statement("UPDATE ledger SET amount = 7"))
        assert ledger.amount("bank_a") == 7
        raise KeyError

    assert ledger.amount("bank_a") == 100


@pytest.mark.parametrize(
    "value", [None, True, 7, -(2**62), 1.5, "", "it's", "a;b", "%s", "%%", "\\", "é€𝄞", [1, 2]]
)
def test_a_value_comes_back_as_it_was_sent(value: object) -> None:
    sent = Statement("SELECT %s, '100%%', %s", (value, "after"))
    assert database.run("bank_a", sent, ONE)[0].rows == [(value, "100%", "after")]


def test_a_wrong_number_of_values_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(TypeError, match="1 placeholders for 2"):
        database.run("bank_a", Statement("SELECT %s", (1, 2)))
    assert database.run("bank_a", ONE)[0].rows == [(1,)]
