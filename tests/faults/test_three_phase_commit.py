"""Three-phase commit: whoever is killed at any step, and who is left alone with the quorum."""

from collections.abc import Callable, Iterator

import pytest

from coordination import distributed_transaction
from coordination.transactions import orphans
from coordination.transactions.tables import Barrier, Branch, Transaction
from tests.consensus_stores import _quorum_servers, elect, redis_quorum, servers_of_quorum
from tests.contract.registers.test_outcomes import EXPIRED, amounts, sweep_and_work
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

STEPS = (
    *("branch.prepare.after", "branch.vote.before", "branch.vote.after"),
    *("branch.precommit.before", "branch.precommit.after"),
    *("tx.decide.before", "tx.decide.after", "branch.finish.before", "branch.finish.after"),
)
ALONE = {
    "branch.vote.after": "aborted",
    "tx.decide.before": "committed",
    "tx.register.after": "committed",
}
"""Step at which its leader dies → what those that are left alone make of it."""


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    broker.clear()
    with ledger.ledgers():
        yield


def move(**options: str) -> None:
    with distributed_transaction("move", protocol="3pc", deadline=60, **options) as tx:
        tx.enlist("test.a.add", cents=-10)
        tx.enlist("test.b.add", cents=10)


def only() -> Transaction:
    return Transaction.objects.get()


def balanced() -> bool:
    return amounts() == ((90, 110) if only().outcome == "committed" else (100, 100))


@pytest.mark.parametrize("expired", [False, True], ids=["in time", "late"])
@pytest.mark.parametrize("step", STEPS)
def test_whoever_leads_it_to_its_end_agrees_with_who_died(
    die_at: Callable[..., None], step: str, expired: bool
) -> None:
    die_at(step, move)
    if expired:
        ledger.execute("default", EXPIRED)
    sweep_and_work()
    orphans.sweep(min_age_s=0)

    assert (only().ended_at is not None, only().heuristic) == (True, "")
    assert balanced()
    assert prepared() == []


def test_after_one_knows_of_the_votes_the_deadline_commits(die_at: Callable[..., None]) -> None:
    die_at("branch.precommit.after", move)
    assert Barrier.objects.using("bank_a").count() + Barrier.objects.using("bank_b").count() == 1
    Branch.objects.filter(seq=1).update(precommitted_at="2026-01-01T00:00:00Z")
    ledger.execute("default", EXPIRED)
    sweep_and_work()

    assert only().outcome == "committed"
    assert "one knows" in only().reason or "knows of it" in only().reason


def test_before_anybody_knows_of_the_votes_the_deadline_aborts(
    die_at: Callable[..., None],
) -> None:
    die_at("branch.vote.after", move)
    ledger.execute("default", EXPIRED)
    sweep_and_work()

    assert (only().outcome, amounts()) == ("aborted", (100, 100))


@pytest.mark.parametrize("step", ALONE)
def test_who_is_left_alone_asks_the_quorum(
    die_at: Callable[..., None], redis_quorum: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    die_at(step, lambda: move(register="paxos"))
    monkeypatch.setattr(orphans, "GIVE_UP_S", 0)
    with coordinator_closed():
        assert orphans.sweep(min_age_s=0) == 2
        assert prepared() == []
        assert amounts() == ((90, 110) if ALONE[step] == "committed" else (100, 100))
    sweep_and_work()

    assert (only().outcome, only().heuristic) == (ALONE[step], "")
    assert only().ended_at is not None
