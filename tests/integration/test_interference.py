"""What others do to a transaction: strangers, each other's locks, sweepers with wrong clocks."""

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from itertools import pairwise

import pytest
from django.core.management import call_command

from coordination import distributed_transaction, participant
from coordination.exceptions import InvalidArgument, OutcomeUnknown, TransactionAborted
from coordination.observing.records import Verdict, Violation
from coordination.observing.tables import Event
from coordination.transactions import operations, runner, situations, sweeper, worker
from coordination.transactions.context import Context
from coordination.transactions.coordinator import store
from coordination.transactions.records import TransactionRecord
from coordination.transactions.tables import Branch, Transaction
from tests.contract.threads import at_once
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import broker, ledger
from tests.integration.aging import age, forget, judge, left, remembered
from tests.integration.skewed import manage
from tests.integration.test_sweeper import begun

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

WHO = {"actor": "a person", "reason": "the account was put right by hand"}
SHORTEST_LEASE = 0.7 * timedelta(milliseconds=sweeper.LEASE_BASE_MS)
met = threading.Barrier(2)


def wait_for_the_other(using: str, row: int) -> None:
    ledger.execute(using, "UPDATE ledger SET amount = amount + 1 WHERE id = %s", row)
    met.wait(10)


@participant("test.cross.first.a", using="bank_a")
def first_in_a(ctx: Context) -> None:
    wait_for_the_other("bank_a", 1)


@participant("test.cross.first.b", using="bank_b")
def first_in_b(ctx: Context) -> None:
    wait_for_the_other("bank_b", 1)


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    broker.clear()
    met.reset()
    for table in (Violation, Verdict, TransactionRecord):
        table.objects.all().delete()
    with ledger.ledgers():
        yield


def row(gid: str) -> Transaction:
    return Transaction.objects.get(gid=gid)


def actuals(gid: str) -> list[str | None]:
    return list(
        Branch.objects.filter(transaction=gid).order_by("seq").values_list("actual", flat=True)
    )


def undecided() -> str:
    """Prepared in bank_b; the other branch has not voted."""
    gid = begun()
    worker.prepare(gid, [2])
    assert ledger.prepared("bank_b") == [f"cc:{gid}:2"]
    return gid


def finish(gid: str) -> None:
    worker.finish(gid, [1, 2])


@pytest.mark.parametrize("decided", ["before", "after"])
def test_a_prepared_branch_that_a_stranger_rolled_back_is_a_heuristic(decided: str) -> None:
    gid = undecided()
    (work,) = store().claim(gid, [1])
    ballot = runner.answer(work)
    if decided == "before":
        runner.cast(gid, ballot, electorate=None)
    ledger.execute("bank_b", f"ROLLBACK PREPARED 'cc:{gid}:2'")
    if decided == "after":
        runner.cast(gid, ballot, electorate=None)
    finish(gid)

    assert (row(gid).outcome, row(gid).heuristic) == ("committed", "mixed")
    assert actuals(gid) == ["committed", "heuristic_rollback"]
    assert (ledger.amount("bank_a"), ledger.amount("bank_b")) == (90, 100)


def test_a_prepared_branch_that_a_stranger_committed_is_a_heuristic() -> None:
    gid = undecided()
    ledger.execute("bank_b", f"COMMIT PREPARED 'cc:{gid}:2'")
    runner.decide(gid, operations.Outcome.ABORTED, reason="enough")
    finish(gid)

    assert (row(gid).outcome, row(gid).heuristic) == ("aborted", "mixed")
    assert actuals(gid) == ["aborted", "heuristic_commit"]
    assert (ledger.amount("bank_a"), ledger.amount("bank_b")) == (100, 110)


def test_a_stranger_who_does_what_is_decided_does_no_harm() -> None:
    gid = undecided()
    (work,) = store().claim(gid, [1])
    runner.cast(gid, runner.answer(work), electorate=None)
    ledger.execute("bank_b", f"COMMIT PREPARED 'cc:{gid}:2'")
    finish(gid)
    judge()

    assert (row(gid).heuristic, row(gid).ended_at is not None) == ("", True)
    assert Violation.objects.count() == 0


def heuristic() -> str:
    gid = undecided()
    ledger.execute("bank_b", f"COMMIT PREPARED 'cc:{gid}:2'")
    runner.decide(gid, operations.Outcome.ABORTED, reason="enough")
    finish(gid)
    return gid


def test_a_heuristic_is_sticky_until_a_person_has_acknowledged_it() -> None:
    gid = heuristic()
    judge()
    age()
    forget()
    assert situations.explained(gid).stuck
    assert Violation.objects.get().acknowledged_at is None
    assert row(gid).heuristic == "mixed"

    assert operations.acknowledge(gid, **WHO) == 1
    assert not situations.explained(gid).stuck
    assert row(gid).heuristic == "mixed"
    told = Event.objects.get(name=gid, kind="transaction.resolved").data
    assert told == {"action": "acknowledge", **WHO}

    judge()
    assert "acknowledged by a person" in TransactionRecord.objects.get(gid=gid).waits_for
    forget()
    assert (remembered(), sum(map(left, ALIASES))) == (0, 0)


def test_what_was_acknowledged_before_the_audit_stays_acknowledged() -> None:
    gid = heuristic()
    operations.acknowledge(gid, **WHO)
    judge()

    assert [each.acknowledged_by for each in Violation.objects.all()] == ["a person"]
    assert Verdict.objects.get().violations == 0


def test_only_what_ended_otherwise_can_be_acknowledged_and_only_once() -> None:
    fine, bad, open_ = begun(), heuristic(), begun()
    worker.prepare(fine, [1, 2])
    for gid, why in (
        (fine, "nothing that nobody has acknowledged"),
        (open_, "is no transaction that has ended"),
        ("nonsense", "is no transaction that has ended"),
    ):
        with pytest.raises(InvalidArgument, match=why):
            operations.acknowledge(gid, **WHO)
    with pytest.raises(InvalidArgument, match="reason of at least 10"):
        operations.acknowledge(bad, actor="a person", reason="ok")
    operations.acknowledge(bad, **WHO)
    with pytest.raises(InvalidArgument, match="nothing that nobody"):
        operations.acknowledge(bad, **WHO)


def test_the_command_explains_retries_and_acknowledges(
    capsys: pytest.CaptureFixture[str],
) -> None:
    gid, open_ = heuristic(), begun()
    ledger.execute("default", "UPDATE concord_branch SET next_at = '2999-01-01'")

    def asked(*arguments: str) -> dict[str, object]:
        call_command("concord", "resolve", *arguments, "--json")
        told: dict[str, object] = json.loads(capsys.readouterr().out)
        return told

    told = asked(gid, "--explain")
    assert "heuristic outcome (mixed) to be acknowledged" in str(told["waits"])
    assert asked(gid, "--acknowledge", "--reason", WHO["reason"])["acknowledged"] == 1
    assert asked(gid, "--explain")["waits"] == "Nothing is due."
    assert "to vote" in str(asked(open_, "--explain")["waits"])
    assert asked("--retry-all", "--reason", WHO["reason"]) == {"retried": 1}
    assert [each.kwargs["gid"] for each in broker.messages("bank.prepare")] == [open_]


def crossing(first: str, second: str) -> str:
    """Its first body has the row that the other one's second body wants."""
    tx = distributed_transaction("crossing", deadline=3)
    tx.enlist(first)
    tx.enlist(second, cents=10)
    with suppress(TransactionAborted, OutcomeUnknown):  # what is left, a sweeper does
        tx.submit()
    return tx.gid


def test_a_deadlock_over_two_databases_ends_by_the_deadline_and_leaves_nothing() -> None:
    gids = at_once(
        partial(crossing, "test.cross.first.a", "test.b.add"),
        partial(crossing, "test.cross.first.b", "test.a.add"),
    )
    ledger.execute(
        "default", "UPDATE concord_transaction SET next_at = now() WHERE ended_at IS NULL"
    )
    sweeper.sweep_once()
    for gid in gids:
        finish(gid)

    outcomes = [row(gid).outcome for gid in gids]
    assert all(row(gid).ended_at is not None for gid in gids)
    assert "aborted" in outcomes
    assert [ledger.prepared(using) for using in ("bank_a", "bank_b")] == [[], []]
    one, other = (outcome == "committed" for outcome in outcomes)
    expected = (100 + one * 1 + other * 10, 100 + one * 10 + other * 1)
    assert (ledger.amount("bank_a"), ledger.amount("bank_b")) == expected
    judge()
    assert Violation.objects.count() == 0


def sweep_by(ahead_s: float, environment: dict[str, str]) -> None:
    with manage("concord", "sweep", "--once", ahead_s=ahead_s, environment=environment) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said


def test_sweepers_whose_clocks_are_ten_minutes_apart_decide_by_the_databases_clock(
    process_environment: dict[str, str],
) -> None:
    soon, past = begun(deadline_ms=120_000), begun(deadline_ms=120_000)
    late = "deadline_at = now() - interval '1 second', next_at = now() - interval '1 second'"
    ledger.execute("default", f"UPDATE concord_transaction SET {late} WHERE gid = %s", past)
    ledger.execute("default", "UPDATE concord_transaction SET next_at = now()")

    at_once(*(partial(sweep_by, ahead_s, process_environment) for ahead_s in (600.0, -600.0)))

    assert [row(gid).outcome for gid in (soon, past)] == [None, "aborted"]
    # What one has leased the other leaves alone; a machine may be so slow that the lease runs out.
    sent = Event.objects.filter(name=soon, kind="branch.sent").order_by("at")
    rounds = [each.at for each in sent][::2]
    assert sent.count() == 2 * len(rounds) > 0
    apart = [later - earlier for earlier, later in pairwise(rounds)]
    assert all(each >= SHORTEST_LEASE for each in apart), apart


@pytest.mark.parametrize("ahead_s", [600.0, -600.0])
def test_a_sweeper_with_a_wrong_clock_forgets_neither_too_early_nor_too_late(
    ahead_s: float, process_environment: dict[str, str]
) -> None:
    minute = 1 / 24 / 60
    young, old = begun(), begun()
    for gid in (young, old):
        worker.prepare(gid, [1, 2])
    judge()
    age(days=7 - 5 * minute)
    for column in ("ended_at", "created_at", "deadline_at"):
        sql = f"UPDATE concord_transaction SET {column} = {column} - interval '6 minutes'"
        ledger.execute("default", f"{sql} WHERE gid = %s", old)

    sweep_by(ahead_s, process_environment)

    assert [*Transaction.objects.values_list("gid", flat=True)] == [young]
    assert (left("bank_a"), left("bank_b")) == (1, 1)
