"""What the sweeper makes good: lost messages, votes and callers, and bodies that never end."""

import threading
from collections.abc import Iterator
from functools import partial

import pytest

from coordination import distributed_transaction, participant
from coordination.observing.tables import Event
from coordination.transactions import runner, sweeper, worker
from coordination.transactions.coordinator import store
from coordination.transactions.plan import branches, enlisted
from coordination.transactions.tables import Branch, Transaction
from coordination.transactions.types import NewTransaction, Outcome, Phase, Protocol
from tests.contract.threads import at_once, disconnected
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import broker, ledger

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

PAST = "UPDATE concord_transaction SET next_at = now() - interval '1 second'"
EXPIRED = f"""
{PAST}, deadline_at = now() - interval '1 second', created_at = now() - interval '61 seconds'"""
MOVE = [("test.a.add", {"cents": -10}), ("test.b.add", {"cents": 10})]

inside, go = threading.Event(), threading.Event()
runs: list[str] = []


@participant("test.sweep.slow", using="bank_a")
def slow(ctx: object) -> None:
    runs.append("slow")
    ledger.execute("bank_a", "UPDATE ledger SET amount = amount + 1")
    inside.set()
    assert go.wait(20)


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    broker.clear()
    inside.clear()
    go.clear()
    runs.clear()
    with ledger.ledgers():
        yield


def begun(parts: list[tuple[str, dict[str, int]]] = MOVE, *, deadline_ms: int = 60_000) -> str:
    """A durable transaction whose caller died before it did anything."""
    tx = distributed_transaction("lost")
    new = NewTransaction(
        gid=tx.gid,
        name="lost",
        protocol=Protocol.TWO_PHASE,
        node="bank",
        key=None,
        digest="d",
        deadline_ms=deadline_ms,
        patience_ms=2_000,
        mailbox="",
        then_signature=None,
        branches=branches([enlisted(name, args) for name, args in parts], coordinator="default"),
        by="a caller that died",
    )
    assert store().begin(new).created
    return tx.gid


def sweep() -> int:
    """Bring every open transaction's turn forward, and sweep once."""
    ledger.execute("default", f"{PAST} WHERE ended_at IS NULL")
    ledger.execute("default", "UPDATE concord_branch SET next_at = NULL")
    return sweeper.sweep_once()


def work_off() -> None:
    """What workers do with the messages that are waiting."""
    for phase, task in ((Phase.PREPARE, worker.prepare), (Phase.FINISH, worker.finish)):
        waiting = broker.messages(f"bank.{phase}")
        with broker.queues() as client:
            client.delete(f"bank.{phase}")
        for message in waiting:
            task(**message.kwargs)


def row(gid: str) -> Transaction:
    return Transaction.objects.get(gid=gid)


def test_a_caller_that_died_after_begin_loses_nothing() -> None:
    gid = begun()
    assert sweep() == 1
    work_off()

    stored = row(gid)
    assert (stored.outcome, stored.ended_at is not None) == ("committed", True)
    assert (ledger.amount("bank_a"), ledger.amount("bank_b")) == (90, 110)


@pytest.mark.parametrize(
    ("parts", "amounts"),
    [
        ([("test.home.add", {"cents": 1}), ("test.a.add", {"cents": 2})], [101, 102, 100]),
        ([("test.home.add", {"cents": 1})], [101, 100, 100]),
        ([("test.a.add", {"cents": 2})], [100, 102, 100]),
        ([("test.b.hold", {"cents": 5})], [100, 100, 95]),
        ([("test.b.hold", {"cents": 5}), ("test.a.add", {"cents": 2})], [100, 102, 95]),
        ([("test.a.read", {}), ("test.b.add", {"cents": 3})], [100, 100, 103]),
    ],
    ids=["last", "last alone", "one phase", "tcc alone", "tcc and xa", "read only"],
)
def test_every_form_is_brought_to_its_end(
    parts: list[tuple[str, dict[str, int]]], amounts: list[int]
) -> None:
    gid = begun(parts)
    for _ in range(3):
        sweep()
        work_off()

    assert (row(gid).outcome, row(gid).ended_at is not None) == ("committed", True)
    assert [ledger.amount(using) for using in ALIASES] == amounts


def test_lost_messages_are_sent_again_and_each_sending_is_told() -> None:
    gid = begun()
    for _ in range(3):
        sweep()

    sent = [message.kwargs for message in broker.messages("bank.prepare")]
    assert sent == [{"gid": gid, "seqs": [1, 2]}] * 3
    assert Event.objects.filter(name=gid, kind="branch.sent").count() == 6

    work_off()
    assert (ledger.amount("bank_a"), ledger.amount("bank_b")) == (90, 110)


def test_a_prepared_branch_whose_vote_was_lost_votes_without_running_again() -> None:
    gid = begun()
    (work,) = store().claim(gid, [1])
    assert work is not None
    runner.answer(work)  # the worker was killed before it could vote
    assert ledger.prepared("bank_a") == [f"cc:{gid}:1"]

    sweep()
    work_off()

    assert row(gid).outcome == "committed"
    assert ledger.amount("bank_a") == 90


def test_votes_missing_at_the_deadline_abort_it_with_the_reason() -> None:
    gid = begun()
    worker.prepare(gid, [1])
    ledger.execute("default", EXPIRED)

    sweeper.sweep_once()
    work_off()

    stored = row(gid)
    assert (stored.outcome, stored.ended_at is not None) == ("aborted", True)
    assert stored.reason == "deadline 60 s passed before test.b.add voted"
    assert ledger.prepared("bank_a") == []
    assert (ledger.amount("bank_a"), ledger.amount("bank_b")) == (100, 100)


def test_a_prepare_after_the_abort_does_nothing() -> None:
    gid = begun()
    ledger.execute("default", EXPIRED)
    sweeper.sweep_once()
    work_off()

    worker.prepare(gid, [1])

    assert row(gid).ended_at is not None
    assert ledger.amount("bank_a") == 100


def test_a_single_branch_past_its_deadline_is_settled_where_it_works() -> None:
    gid = begun([("test.a.add", {"cents": 1})])
    ledger.execute("default", EXPIRED)

    sweeper.sweep_once()
    assert row(gid).outcome is None
    work_off()

    assert (row(gid).outcome, row(gid).ended_at is not None) == ("aborted", True)
    assert ledger.amount("bank_a") == 100


def test_two_sweepers_take_disjoint_shares() -> None:
    gids = {begun() for _ in range(60)}
    ledger.execute("default", PAST)
    lease = partial(store().lease_due, limit=20, base_ms=60_000, cap_ms=60_000)

    taken = at_once(*[lease] * 4)

    assert [len(share) for share in taken if share] == [20, 20, 20]
    assert {gid for share in taken for gid in share} == gids


def test_what_one_sweeper_took_is_not_due_again_at_once() -> None:
    begun()
    assert sweep() == 1
    assert sweeper.sweep_once() == 0


def test_the_deadline_of_what_is_undecided_is_a_turn_however_late_the_next_one_is() -> None:
    soon, late = begun(deadline_ms=3_000), begun(deadline_ms=60_000)
    ledger.execute("default", "UPDATE concord_transaction SET attempts = 16")
    for _ in range(2):
        sweep()

    assert row(soon).next_at == row(soon).deadline_at
    assert row(late).next_at < row(late).deadline_at


def test_what_has_ended_is_never_due() -> None:
    with distributed_transaction("done") as tx:
        tx.enlist("test.a.add", cents=1)

    assert row(tx.gid).next_at is None
    assert sweep() == 0


def test_a_body_that_never_answers_is_given_up_and_voted_down() -> None:
    gid = begun()
    for _ in range(runner.ATTEMPTS_MAX):
        store().claim(gid, [1])  # each time the worker was killed in the body

    worker.prepare(gid, [1])

    vote = Branch.objects.get(transaction=gid, seq=1)
    assert (vote.vote, vote.actual, row(gid).outcome) == ("no", "aborted", "aborted")
    assert "given up after 10 attempts" in row(gid).reason
    assert ledger.amount("bank_a") == 100


@pytest.mark.parametrize("parts", [MOVE, MOVE[:1]], ids=["prepare", "one_phase"])
def test_work_that_is_durable_is_never_given_up(parts: list[tuple[str, dict[str, int]]]) -> None:
    gid = begun(parts)
    (work,) = store().claim(gid, [1])
    assert work is not None
    runner.answer(work)
    for _ in range(runner.ATTEMPTS_MAX):
        store().claim(gid, [1])

    worker.prepare(gid, [1])
    sweep()
    work_off()

    assert (row(gid).outcome, row(gid).heuristic) == ("committed", "")
    assert ledger.amount("bank_a") == 90


def test_messages_for_a_body_that_is_running_neither_run_it_again_nor_give_it_up() -> None:
    gid = begun([("test.sweep.slow", {}), ("test.b.add", {"cents": 1})])
    first = threading.Thread(target=disconnected, args=(partial(worker.prepare, gid, [1]),))
    first.start()
    assert inside.wait(10)

    answers = {worker.prepare(gid, [1]) for _ in range(runner.ATTEMPTS_MAX + 3)}
    go.set()
    first.join(10)
    worker.prepare(gid, [2])
    work_off()

    assert (answers, runs) == ({"later"}, ["slow"])
    assert (row(gid).outcome, ledger.amount("bank_a")) == ("committed", 101)


def test_a_vote_on_a_branch_that_was_finished_meanwhile_does_not_finish_another() -> None:
    gid = begun()
    worker.prepare(gid, [1])
    (work,) = store().claim(gid, [2])
    assert work is not None
    runner.decide(gid, Outcome.ABORTED, reason="enough")
    worker.finish(gid, [2])
    refusal = runner.answer(work)  # it found the tombstone
    runner.cast(gid, refusal, electorate=None)

    assert (row(gid).unfinished, row(gid).ended_at) == (1, None)
    worker.finish(gid, [1])
    assert (row(gid).unfinished, row(gid).ended_at is not None) == (0, True)
    assert ledger.prepared("bank_a") == []
