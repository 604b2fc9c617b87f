"""Paxos commit: what has voted ends, whoever is dead. The coordinator's database really refuses."""

import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from coordination import distributed_transaction
from coordination.exceptions import OutcomeUnknown, StoreUnavailable, TransactionAborted
from coordination.transactions import orphans, sweeper
from coordination.transactions.registers import votes
from coordination.transactions.tables import Branch, Transaction
from coordination.transactions.types import Ballot, Outcome, Vote
from tests.consensus_stores import Quorum, _quorum_servers, elect, redis_quorum, servers_of_quorum
from tests.contract.registers.test_outcomes import EXPIRED, amounts, row, sweep_and_work
from tests.contract.threads import disconnected
from tests.databases import ALIASES, _django_db_helper
from tests.faults.dying import coordinator_closed, die_at, prepared
from tests.integration import broker, ledger

__all__ = [
    "_django_db_helper",
    "_quorum_servers",
    "die_at",
    "elect",
    "redis_quorum",
    "servers_of_quorum",
]

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

UNTIL_S = 20


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None, redis_quorum: str) -> Iterator[None]:
    broker.clear()
    with ledger.ledgers():
        yield


def move() -> str:
    with distributed_transaction("move", protocol="paxos", deadline=60) as tx:
        tx.enlist("test.a.add", cents=-10)
        tx.enlist("test.b.add", cents=10)
    return tx.gid


def only() -> Transaction:
    return Transaction.objects.get()


def test_what_has_voted_ends_while_nobody_reaches_the_coordinator(
    die_at: Callable[..., None],
) -> None:
    die_at("tx.register.after", move)
    assert len(prepared()) == 2
    with coordinator_closed():
        assert orphans.sweep(min_age_s=0) == 2
        assert (amounts(), prepared()) == ((90, 110), [])

    assert only().outcome is None
    sweep_and_work()
    assert (only().outcome, only().heuristic, only().unfinished) == ("committed", "", 0)


def test_a_running_sweeper_ends_it_by_itself(die_at: Callable[..., None]) -> None:
    die_at("tx.register.after", move)
    stop = threading.Event()
    sweep = partial(disconnected, partial(sweeper.run, stop, orphans_every_s=0))
    sweeping = threading.Thread(target=sweep)
    with coordinator_closed():
        sweeping.start()
        due = time.monotonic() + UNTIL_S
        while prepared() and time.monotonic() < due:
            stop.wait(0.1)
        left = prepared()
        stop.set()
        sweeping.join()
    assert left == []
    assert amounts() == (90, 110)


def test_votes_that_are_missing_are_waited_for_and_then_given_up(
    die_at: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    die_at("branch.vote.before", move)
    with coordinator_closed():
        assert orphans.sweep(min_age_s=0) == 0
        assert len(prepared()) == 2
        monkeypatch.setattr(orphans, "GIVE_UP_S", 0)
        assert orphans.sweep(min_age_s=0) == 2
        assert (amounts(), prepared()) == ((100, 100), [])

    sweep_and_work()
    assert (only().outcome, only().heuristic, only().unfinished) == ("aborted", "", 0)
    assert amounts() == (100, 100)


@pytest.mark.parametrize("step", ["branch.prepare.after", "branch.vote.after"])
def test_a_caller_killed_at_any_step_leaves_all_or_nothing(
    die_at: Callable[..., None], step: str
) -> None:
    die_at(step, move)
    ledger.execute("default", EXPIRED)
    sweep_and_work()
    orphans.sweep(min_age_s=0)

    assert only().ended_at is not None
    assert amounts() == ((90, 110) if only().outcome == "committed" else (100, 100))
    assert prepared() == []


def test_a_waiting_caller_reads_the_votes_themselves() -> None:
    tx = distributed_transaction("moved", protocol="paxos", wait=False, deadline=60)
    tx.enlist("bank.b.deposit", account=1, cents=1)
    tx.enlist("test.a.add", cents=1)
    tx.submit()
    electorate = tx._following.electorate
    assert electorate is not None
    with coordinator_closed():
        with pytest.raises(OutcomeUnknown):
            tx.result(wait=0.3)
        # A worker voted and could not say so in the row.
        votes.chosen(tx.gid, electorate, [Ballot(seq=1, vote=Vote.YES)])
        assert tx.result(wait=10) == "committed"
    Branch.objects.filter(transaction=tx.gid).delete()


def test_with_one_acceptor_dead_nothing_waits(servers_of_quorum: Quorum) -> None:
    servers_of_quorum.servers["two"].kill()
    assert row(move()).ended_at is not None
    servers_of_quorum.heal()
    servers_of_quorum.servers["one"].freeze()
    assert row(move()).ended_at is not None
    assert amounts() == (80, 120)


def test_without_a_majority_nothing_is_said_and_later_it_ends(servers_of_quorum: Quorum) -> None:
    tx = distributed_transaction("move", protocol="paxos", deadline=0.5, wait=False)
    tx.enlist("test.a.add", cents=-10)
    tx.enlist("test.b.add", cents=10)
    servers_of_quorum.servers["one"].kill()
    servers_of_quorum.servers["two"].kill()
    tx.submit()
    with pytest.raises(OutcomeUnknown):
        tx.result(wait=0.3)
    with pytest.raises((OutcomeUnknown, StoreUnavailable)):
        tx.cancel()
    servers_of_quorum.heal()
    sweep_and_work()

    assert row(tx.gid).ended_at is not None
    assert amounts() == ((90, 110) if row(tx.gid).outcome == "committed" else (100, 100))
    assert prepared() == []


def test_a_sweeper_goes_on_with_others_when_a_quorum_does_not_answer(
    servers_of_quorum: Quorum,
) -> None:
    tx = distributed_transaction("moved", protocol="paxos", wait=False, deadline=60)
    tx.enlist("bank.b.deposit", account=1, cents=1)
    tx.submit()
    other = distributed_transaction("moved", wait=False, deadline=60)
    other.enlist("bank.b.deposit", account=1, cents=2)
    other.enlist("test.a.add", cents=2)
    other.submit()
    ledger.execute("default", EXPIRED)
    servers_of_quorum.servers["one"].kill()
    servers_of_quorum.servers["two"].kill()
    sweep_and_work()
    assert (row(tx.gid).outcome, row(other.gid).outcome) == (None, "aborted")


def test_a_refusal_by_a_participant_is_in_its_register_too() -> None:
    tx = distributed_transaction("move", protocol="paxos")
    tx.enlist("test.a.add", cents=500)
    tx.enlist("test.b.add", cents=-500)
    with pytest.raises(TransactionAborted, match="insufficient funds"), tx:
        pass
    assert tx._following.electorate is not None
    assert votes.outcome(tx.gid, tx._following.electorate) is Outcome.ABORTED
