"""What a person is told of transactions that do not end, from the rows and from the databases."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from coordination.exceptions import InvalidArgument
from coordination.probes import transactions as probe
from coordination.transactions import requests, runner, situations, worker
from coordination.transactions.coordinator import store
from coordination.transactions.tables import Transaction
from tests.contract.locks.asking import until
from tests.contract.threads import disconnected
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import broker, ledger
from tests.integration.aging import age, judge
from tests.integration.observing import move
from tests.integration.test_sweeper import begun

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

LONG_AGO = """
UPDATE concord_transaction SET created_at = created_at - interval '90 seconds',
    deadline_at = deadline_at - interval '90 seconds',
    decided_at = decided_at - interval '90 seconds'"""


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    broker.clear()
    with ledger.ledgers():
        yield


def left_prepared() -> str:
    """Decided 90 seconds ago, and prepared in both databases."""
    gid = begun()
    for seq in (1, 2):
        (work,) = store().claim(gid, [seq])
        runner.cast(gid, runner.answer(work), electorate=None)
    ledger.execute("default", LONG_AGO)
    return gid


@contextmanager
def somebody_waits() -> Iterator[None]:
    """A session that wants the row of a prepared branch, until that has ended."""
    done = threading.Event()

    def change() -> None:
        ledger.execute("bank_a", "UPDATE ledger SET amount = amount + 1 /* waits */")
        done.set()

    thread = threading.Thread(target=disconnected, args=(change,))
    thread.start()
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    until(lambda: ledger.execute("bank_a", waiting)[0][0] > 0)
    yield
    for gid in ledger.prepared("bank_a"):
        ledger.execute("bank_a", f"COMMIT PREPARED '{gid}'")
    assert done.wait(10)
    thread.join(10)


def test_what_is_stuck_says_what_its_prepared_branches_hold_up() -> None:
    gid = left_prepared()
    with somebody_waits():
        (found,) = situations.stuck()

    assert found.gid == gid
    assert found.next == "test.a.add on bank_a and test.b.add on bank_b to be committed"
    one, other = found.radius
    assert (one.branch_gid, one.using, one.tables) == (f"cc:{gid}:1", "bank_a", ("ledger",))
    assert [("/* waits */" in each.query, each.waited_s < 10) for each in one.sessions] == [
        (True, True)
    ]
    assert (one.locks > 0, one.transactions >= 0, other.sessions) == (True, True, ())


def test_a_database_that_does_not_answer_leaves_the_rest_of_the_explanation() -> None:
    from tests.integration.test_breakers import out_of_reach

    gid = left_prepared()
    with out_of_reach("bank_b"):
        worker.finish(gid, [2])
        found = situations.explained(gid)

    assert [one.using for one in found.radius] == ["bank_a"]
    assert "cannot connect to database 'bank_b'" in found.blocks[0]


def test_what_goes_on_well_is_not_stuck() -> None:
    begun()
    move()

    assert situations.stuck() == []


def test_undecided_past_its_deadline_is_stuck() -> None:
    gid = begun()
    ledger.execute("default", LONG_AGO)

    (found,) = situations.stuck()
    assert (found.gid, found.next) == (gid, "the abort, its deadline has passed,")


def test_the_status_task_tells_what_is_waited_for() -> None:
    gid = left_prepared()
    waits = requests.status(gid)["waits"]

    assert (waits["stuck"], waits["who"]) == (True, "a worker of bank.finish, or a sweeper")
    assert waits["since"] >= 90
    assert [f"cc:{gid}:1 is prepared on bank_a" in waits["holds_up"][0]] == [True]
    worker.finish(gid, [1, 2])
    assert requests.status(gid)["waits"] is None


def test_what_is_unknown_is_not_explained() -> None:
    for gid in ("nonsense", "bank-00000000-0000000000000000"):
        with pytest.raises(InvalidArgument, match="never begun, or forgotten"):
            situations.explained(gid)


def test_the_doctor_tells_of_the_stuck_and_the_cause() -> None:
    gid = left_prepared()
    (message,) = probe.probe().messages

    assert message.id == "concord.W140"
    assert f"The transaction {gid} is stuck. For 9" in message.msg
    assert f"cc:{gid}:2 is prepared on bank_b" in message.msg


def test_the_doctor_tells_what_cannot_be_forgotten_and_why() -> None:
    move()
    move()
    gid = move()
    judge()
    ledger.execute("default", "UPDATE concord_transaction SET audited_at = NULL")
    Transaction.objects.filter(gid=gid).update(heuristic="mixed")
    age()
    sql = "UPDATE concord_transaction SET audited_at = ended_at WHERE gid = %s"
    ledger.execute("default", sql, gid)
    found = probe.probe()

    assert found.detail == "the oldest began 8.0 days ago"
    assert sorted(message.msg.split(", the oldest")[0] for message in found.messages) == [
        "Older than the retention and not forgotten, because unacknowledged: 1 transactions",
        "Older than the retention and not forgotten, because unaudited: 2 transactions",
    ]


def test_the_doctor_says_so_when_nothing_is_remembered() -> None:
    found = probe.probe()

    assert (found.answered, found.detail, found.messages) == (True, "none is remembered", ())


def test_a_probe_of_a_dead_coordinator_answers_that() -> None:
    from tests.integration.test_breakers import out_of_reach

    with out_of_reach("default"):
        assert not probe.probe().answered
    assert partial(probe.probe)().answered
