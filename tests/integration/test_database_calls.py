"""The engine's own statements: several in one round trip, none waited for past its deadline."""

import os
import signal
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connections, transaction

from coordination.connections import database, pipeline
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
        database.run("bank_a", Statement("SELECT pg_sleep(3)"), deadline_ms=DEADLINE_MS)
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


def backend(using: str) -> int:
    pid: int = database.run(using, Statement("SELECT pg_backend_pid()"))[0].rows[0][0]
    return pid


def test_exchanges_sent_one_behind_the_other_are_answered_in_order() -> None:
    numbers = [database.start("bank_a", Statement("SELECT %s", (n,))) for n in range(20)]
    database.wait(numbers[-1])

    assert [each.replies()[0].rows for each in numbers] == [[(n,)] for n in range(20)]


def test_a_refusal_leaves_the_exchanges_before_and_behind_it_alone() -> None:
    add = Statement("UPDATE ledger SET amount = amount + %s", (1,))
    first = database.start("bank_a", add)
    refused = database.start("bank_a", add, Statement("SELECT 1 / %s", (0,)), add)
    last = database.start("bank_a", add, Statement("SELECT amount FROM ledger"))
    database.wait(first, refused, last)

    with pytest.raises(StatementRefused, match="division by zero"):
        refused.replies()
    assert last.replies()[1].rows == [(102,)]


def test_a_cursor_waits_for_what_was_sent_before_it() -> None:
    database.post("bank_a", Statement("SELECT pg_sleep(0.1)"))
    database.post("bank_a", Statement("UPDATE ledger SET amount = 7"))

    assert ledger.amount("bank_a") == 7


def test_a_block_may_be_opened_behind_what_was_posted() -> None:
    database.post("bank_a", Statement("UPDATE ledger SET amount = 7"))
    with pytest.raises(KeyError), transaction.atomic(using="bank_a"):
        database.run("bank_a", Statement("UPDATE ledger SET amount = 8"))
        raise KeyError

    assert ledger.amount("bank_a") == 7


def test_what_is_sent_alone_stays_when_the_block_around_it_is_undone() -> None:
    with pytest.raises(KeyError), transaction.atomic(using="bank_a"):
        database.start("bank_a", Statement("UPDATE ledger SET amount = 7"), alone=True)
        database.run("bank_a", Statement("UPDATE ledger SET amount = amount + 1"))
        raise KeyError

    assert ledger.amount("bank_a") == 7


def test_an_error_nobody_waits_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    database.post("bank_a", Statement("SELECT 1 / 0"))
    assert database.run("bank_a", ONE)[0].rows == [(1,)]

    assert "division by zero" in caplog.text


def test_a_connection_that_was_closed_takes_what_was_under_way_with_it() -> None:
    pending = database.start("bank_a", Statement("SELECT pg_sleep(0.1)"))
    connections["bank_a"].close()

    assert ledger.amount("bank_a") == 100
    database.wait(pending)
    with pytest.raises(ConnectionLost):
        pending.replies()


def test_a_lost_connection_takes_every_exchange_under_way_with_it() -> None:
    pid = backend("bank_a")
    pending = [database.start("bank_a", Statement("SELECT pg_sleep(5)")) for _ in range(3)]
    database.run("bank_b", Statement("SELECT pg_terminate_backend(%s, 5000)", (pid,)))
    database.wait(*pending)

    for each in pending:
        with pytest.raises(ConnectionLost):
            each.replies()
    assert database.run("bank_a", ONE)[0].rows == [(1,)]


@contextmanager
def threshold(value: int | None) -> Iterator[None]:
    connection = connections["bank_a"]
    options = connection.settings_dict["OPTIONS"]
    kept = options["prepare_threshold"]
    connection.close()
    options["prepare_threshold"] = value
    try:
        yield
    finally:
        connection.close()
        options["prepare_threshold"] = kept


def prepared_statements() -> int:
    count: int = ledger.execute("bank_a", "SELECT count(*) FROM pg_prepared_statements")[0][0]
    return count


@pytest.mark.parametrize(("value", "expected"), [(5, 1), (None, 0)])
def test_statements_are_prepared_only_where_the_alias_allows_it(
    value: int | None, expected: int
) -> None:
    with threshold(value):
        for number in range(3):
            database.run("bank_a", Statement("SELECT %s + 1", (number,)))

        assert prepared_statements() == expected


def test_statements_that_were_thrown_away_are_prepared_anew() -> None:
    two = Statement("SELECT %s + 1", (1,))
    with threshold(5):
        database.run("bank_a", two)
        ledger.execute("bank_a", "DEALLOCATE ALL")
        with pytest.raises(StatementRefused, match="does not exist"):
            database.run("bank_a", two)

        assert database.run("bank_a", two)[0].rows == [(2,)]


def test_a_statement_behind_a_refused_one_is_prepared_when_it_is_sent_again() -> None:
    two = Statement("SELECT %s + 1", (1,))
    with threshold(5):
        with pytest.raises(StatementRefused):
            database.run("bank_a", Statement("SELECT 1 / %s", (0,)), two)

        assert database.run("bank_a", two)[0].rows == [(2,)]


def test_a_process_does_not_grow_with_every_text_that_holds_an_id() -> None:
    database.run("bank_a", ONE)
    tracemalloc.start()
    try:
        for number in range(300):
            database.run("bank_a", Statement(f"SELECT 'cc:{number:0100}'"))
        kept = tracemalloc.take_snapshot().filter_traces(
            [tracemalloc.Filter(inclusive=True, filename_pattern=pipeline.__file__)]
        )
    finally:
        tracemalloc.stop()

    assert sum(trace.size for trace in kept.traces) < 300 * 100
