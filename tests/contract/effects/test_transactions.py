"""`tx.publish` and `tx.add`: what users call, and what becomes of it with the decision."""

import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from coordination import counter, distributed_transaction, participant, queue
from coordination.exceptions import InvalidArgument, TransactionAborted
from coordination.transactions.context import Context
from coordination.transactions.tables import Branch, Transaction
from tests.contract.locks.asking import until
from tests.contract.threads import at_once, disconnected
from tests.databases import ALIASES
from tests.effects import Effect, Published
from tests.integration import ledger

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


@participant("test.effects.refuse", using="bank_a")
def refuse(ctx: Context) -> None:
    ctx.vote_no("asked to refuse")


@participant("test.effects.work", using="bank_a")
def work(ctx: Context, cents: int) -> None:
    ledger.execute("bank_a", "UPDATE ledger SET amount = amount + %s", cents)


def test_what_a_block_does_is_seen_when_it_is_left(effect: Effect) -> None:
    with distributed_transaction("sale") as tx:
        effect.enlist(tx)
        effect.enlist(tx)
        before = effect.seen()

    assert tx.result(until="applied") == "committed"
    assert (before, effect.seen()) == (0, 2)


def test_an_exception_in_the_block_sends_nothing(effect: Effect) -> None:
    with pytest.raises(RuntimeError), distributed_transaction("sale") as tx:
        effect.enlist(tx)
        raise RuntimeError("it broke")

    assert effect.seen() == 0


def test_a_participants_no_leaves_nothing(effect: Effect) -> None:
    with (
        pytest.raises(TransactionAborted, match="asked to refuse"),
        distributed_transaction("sale") as tx,
    ):
        effect.enlist(tx)
        tx.enlist("test.effects.refuse")

    assert tx.result(until="applied") == "aborted"
    assert effect.seen() == 0


def test_with_databases_and_each_other_all_or_nothing(bounded: Effect) -> None:
    bounded.room = 2
    with ledger.ledgers():
        for allowed in (True, True, False):
            tx = distributed_transaction("sale", deadline=30)
            tx.enlist("test.effects.work", cents=1)
            tx.add("aa:all", using="redis")
            tx.publish("aa.all", {}, using="redis")
            bounded.enlist(tx)
            tx.submit()
            assert tx.result(until="applied") == ("committed" if allowed else "aborted")
        ((amount,),) = ledger.execute("bank_a", "SELECT amount FROM ledger WHERE id = 1")
    seen = (bounded.seen(), counter("aa:all").get(), queue("aa.all", using="redis").stats().held)
    counter("aa:all").reset()
    queue("aa.all", using="redis").purge(actor="a test", reason="for the next one")

    assert seen == (2, 2, 2)
    assert amount == 100 + 2


def test_of_two_transactions_at_a_bound_one_passes(bounded: Effect) -> None:
    def one() -> str:
        tx = distributed_transaction("at-a-bound", deadline=30)
        bounded.enlist(tx)
        tx.submit()
        return tx.result(until="applied")

    outcomes = at_once(one, one)

    assert sorted(outcomes) == ["aborted", "committed"]
    assert bounded.seen() == 1


def test_those_who_add_to_the_same_counters_in_another_order_do_not_wait_for_each_other(
    postgresql_queues: str, transactional_db: None
) -> None:
    names = [f"test:{secrets.token_hex(4)}:{letter}" for letter in "abc"]

    def adding(order: Sequence[str]) -> Callable[[], list[str]]:
        def work() -> list[str]:
            outcomes = []
            for _ in range(6):
                tx = distributed_transaction("order", deadline=30)
                for name in order:
                    tx.add(name, using=postgresql_queues)
                tx.submit()
                outcomes.append(tx.result(until="applied"))
            return outcomes

        return work

    outcomes = at_once(adding(names), adding(names[::-1]))

    assert outcomes == [["committed"] * 6] * 2
    assert [counter(name, using=postgresql_queues).get() for name in names] == [12] * 3


def test_a_key_does_it_once(effect: Effect) -> None:
    for _ in range(2):
        tx = distributed_transaction("sale", key=effect.name)
        effect.enlist(tx)
        tx.submit()
        assert tx.result(until="applied") == "committed"

    assert effect.seen() == 1


def test_a_cancelled_transaction_leaves_nothing(effect: Effect) -> None:
    tx = distributed_transaction("sale")
    effect.enlist(tx)
    tx.cancel()

    with pytest.raises(InvalidArgument):
        tx.submit()
    assert effect.seen() == 0


def test_one_branch_a_queue_and_one_a_counter_in_the_order_of_their_names(
    transactional_db: None,
) -> None:
    tx = distributed_transaction("sale")
    ids = [tx.publish("zz", {"n": number}, using="redis") for number in range(3)]
    for name in ("bb", "aa", "bb"):
        tx.add(name, 2, using="database")
    tx.submit()

    assert tx.result(until="applied") == "committed"
    told = Branch.objects.filter(transaction=tx.gid).order_by("seq")
    assert [each.participant for each in told] == [
        "concord.counter.add:aa@database",
        "concord.counter.add:bb@database",
        "concord.queue.publish:zz@redis",
    ]
    assert [counter(name, using="database").get() for name in ("aa", "bb")] == [2, 4]
    taken = queue("zz", using="redis").reserve(10)
    assert [(each.id, each.body) for each in taken] == [
        (id_, {"n": number}) for number, id_ in enumerate(ids)
    ]
    queue("zz", using="redis").ack(taken)


@pytest.mark.parametrize("last", [True, False])
def test_who_waits_in_postgresql_is_woken_by_the_commit(
    postgresql_queues: str, transactional_db: None, last: bool
) -> None:
    published = Published(using=postgresql_queues)
    published.seen()
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(disconnected, lambda: published.queue.reserve(wait=20))
        until(lambda: waiters() == 1)
        tx = distributed_transaction("sale")
        published.enlist(tx)
        if not last:
            tx.publish("zz.behind", 1, using=postgresql_queues)
        tx.submit()
        told = waiters()
        (taken,) = waiting.result()
    taken.ack()

    # Whoever is told is not in the list any more, before he has looked by himself.
    assert told == 0


def waiters() -> int:
    return int(ledger.execute("default", "SELECT count(*) FROM concord_queue_waiter")[0][0])


def test_other_apps_may_publish_and_add_by_name(effect: Effect) -> None:
    from coordination.transactions import requests

    part = effect.part()
    args = (
        {"counter": effect.name, "using": effect.using}
        if "counter" in part.participant
        else {"queue": effect.name, "using": effect.using, "messages": [{"body": "hello"}]}
    )
    branch = {"participant": part.participant.partition(":")[0], "args": args}
    answer = requests.begin("by-name", [branch], op_id=effect.name)

    assert Transaction.objects.get(gid=answer["gid"]).outcome == "committed"
    assert effect.seen() == 1
