"""What was published and added stays as it is when its transaction is forgotten and asked again."""

import pytest

from coordination import distributed_transaction, participant
from coordination.exceptions import TransactionAborted
from coordination.transactions import kept, worker
from coordination.transactions.context import Context
from coordination.transactions.tables import Barrier, Transaction
from tests.databases import ALIASES
from tests.effects import Effect, prepared
from tests.integration.aging import age, forget, judge

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


@participant("test.effects.refuse.again", using="bank_a")
def refuse(ctx: Context) -> None:
    ctx.vote_no("asked to refuse")


@pytest.mark.parametrize("outcome", ["committed", "aborted"])
def test_a_message_for_a_forgotten_transaction_neither_adds_nor_publishes(
    effect: Effect, outcome: str
) -> None:
    tx = distributed_transaction("sale", deadline=30)
    effect.enlist(tx)
    if outcome == "aborted":
        tx.enlist("test.effects.refuse.again")
    tx.submit()
    assert tx.result(until="applied") == outcome
    judge()
    age()
    seen = effect.seen()
    forget()

    assert Transaction.objects.count() == Barrier.objects.count() == 0
    for task in (worker.prepare, worker.finish):
        for seqs in ([1], [2], [1, 2]):
            assert task(tx.gid, seqs) == "unknown"
    assert (effect.seen(), seen) == (seen, 1 if outcome == "committed" else 0)
    assert not [each for each in kept.holds()[0] if each.gid == tx.gid]


def test_what_is_held_is_not_forgotten(held: Effect) -> None:
    """Its transaction has no end: it holds its room, and others are refused, for as long."""
    work = held.work(node="bank")
    prepared(work)
    age()
    forget()

    assert Barrier.objects.using(work.using).count() == 1
    with pytest.raises(TransactionAborted), distributed_transaction("sale") as tx:
        held.enlist(tx)
