"""Bad input to the public API: an error that names the value and the rule, and nothing written."""

import math
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import current_app, shared_task
from django.db import connections, transaction

from coordination import distributed_transaction, participant
from coordination.exceptions import (
    CoordinationError,
    InvalidArgument,
    InvalidName,
    NotSupportedByStore,
    OutcomeUnknown,
    TransactionAborted,
    UnknownParticipant,
)
from coordination.observing.tables import Event
from coordination.transactions import participants
from coordination.transactions.api import DistributedTransaction
from coordination.transactions.tables import Transaction
from tests.contract import places
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import broker, ledger

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

NOT_A_DURATION: list[Any] = [0, -1, 0.0, math.nan, math.inf, -math.inf, True, None, "10", 1e300]
NOT_A_DURATION += [timedelta(0), timedelta(seconds=-1)]
NOT_A_NAME: list[Any] = ["", " ", "a b", "a\nb", "a*", "a{b}", "x" * 201, "é" * 101, None, 7, b"a"]
NOT_A_KEY: list[Any] = ["", "x" * 201, "a\x00b", "a\ud800b", 7, b"a", ["a"]]
NOT_JSON: list[Any] = [len, b"bytes", {1, 2}, timedelta(1), math.nan, math.inf]
NOT_JSON += [2**53, -(2**53), "a\x00b", "a\ud800b", {"a": [1, {"b": len}]}, {1: "a"}]


@participant("test.bad.anything", using="bank_a")
def anything(ctx: Any, value: Any) -> None:
    ledger.execute("bank_a", "SELECT 1")


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    broker.clear()
    with ledger.ledgers():
        yield


def assert_nothing_written() -> None:
    assert not Transaction.objects.exists()
    assert not Event.objects.exists()
    assert broker.messages("bank.prepare") == []
    assert [ledger.amount(using) for using in ledger.ALIASES] == [100, 100, 100]


def refused(match: str, **options: Any) -> None:
    with pytest.raises(InvalidArgument, match=match) as told:
        distributed_transaction("bad", **options)
    assert told.value.applied is False
    assert_nothing_written()


@pytest.mark.parametrize("value", NOT_A_DURATION, ids=repr)
def test_a_deadline_is_a_positive_finite_number_of_seconds(value: Any) -> None:
    refused(r"deadline must be .*(seconds|timedelta)", deadline=value)


@pytest.mark.parametrize("seconds", [30 * 86_400, 2**53 / 1000 - 1])
def test_a_deadline_may_be_as_long_as_one_likes(seconds: float) -> None:
    with distributed_transaction("patient", deadline=seconds) as tx:
        tx.enlist("test.a.add", cents=1)
        tx.enlist("test.b.hold", cents=1)

    assert tx.result() == "committed"


@pytest.mark.parametrize("value", NOT_A_NAME, ids=repr)
def test_a_name_is_plain_and_at_most_200_bytes(value: Any) -> None:
    with pytest.raises(InvalidName, match="transaction name"):
        distributed_transaction(value)
    assert_nothing_written()


@pytest.mark.parametrize("value", NOT_A_KEY, ids=repr)
def test_a_key_is_text_of_1_to_200_characters(value: Any) -> None:
    refused("key must be", key=value)


def test_a_store_that_cannot_decide_alone_is_refused() -> None:
    with pytest.raises(NotSupportedByStore, match="Store 'redis' cannot decide alone"):
        distributed_transaction("bad", register="redis")


def test_timeout_is_refused_with_the_words_to_use_instead() -> None:
    refused(r"no timeout=.*deadline=.*wait=", timeout=5)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"protocol": "2cp"}, "Unknown protocol '2cp'. Did you mean '2pc'"),
        ({"protocol": None}, "Unknown protocol None"),
        ({"register": "databse"}, "Unknown register 'databse'. Did you mean 'database'"),
        ({"register": 7}, "Unknown register 7"),
        ({"register": "paxos"}, "'ACCEPTORS'] names no stores"),
        ({"protocol": "paxos"}, "'ACCEPTORS'] names no stores"),
        ({"protocol": "paxos", "register": "database"}, "a register for each vote"),
        ({"deadlin": 5}, "Unknown option 'deadlin'. Did you mean 'deadline'"),
        ({"retries": 5}, "Unknown option 'retries'"),
        ({"then": print}, "then takes a Celery signature or task, not builtin"),
        ({"then": "a.task"}, "then takes a Celery signature or task, not str"),
    ],
    ids=str,
)
def test_an_unknown_option_or_value_is_named_with_the_nearest_known(
    options: dict[str, Any], match: str
) -> None:
    refused(match, **options)


def enlisting(error: type[CoordinationError], match: str, name: Any, **args: Any) -> None:
    with pytest.raises(error, match=match), distributed_transaction("bad") as tx:
        tx.enlist("test.a.add", cents=1)
        tx.enlist(name, **args)
    assert_nothing_written()


def test_an_unknown_participant_is_told_with_the_nearest_known() -> None:
    enlisting(UnknownParticipant, "Did you mean 'test.a.add'", "test.a.ad", cents=1)


def test_an_unknown_participant_of_our_own_node_is_refused_though_it_is_routed() -> None:
    enlisting(UnknownParticipant, "Unknown participant 'bank.nothing'", "bank.nothing")


@pytest.mark.parametrize("value", NOT_A_NAME, ids=repr)
def test_a_participant_name_is_plain(value: Any) -> None:
    enlisting(InvalidName, "participant name", value)


@pytest.mark.parametrize("value", NOT_JSON, ids=repr)
def test_an_argument_that_json_or_postgresql_cannot_carry_is_named(value: Any) -> None:
    match = "argument 'value' of participant 'test.bad.anything'"
    enlisting(InvalidArgument, match, "test.bad.anything", value=value)


def test_arguments_that_are_too_large_are_told_with_the_limit() -> None:
    match = r"take 65548 bytes as JSON; the limit is 65536"
    enlisting(InvalidArgument, match, "test.bad.anything", value="x" * 65_536)


def test_arguments_just_within_the_limit_are_carried_whole() -> None:
    value = "x" * (65_536 - len('{"value":""}'))
    with distributed_transaction("large") as tx:
        tx.enlist("test.bad.anything", value=value)

    assert tx.result() == "committed"
    assert Transaction.objects.get().branches.get().args == {"value": value}


def test_arguments_nested_too_deep_are_refused() -> None:
    value: Any = 1
    for _ in range(sys.getrecursionlimit()):
        value = [value]
    enlisting(InvalidArgument, "deeper than 32", "test.bad.anything", value=value)


@pytest.mark.parametrize("args", [{}, {"cents": 1, "more": 2}, {"cent": 1}, {"ctx": 1, "cents": 1}])
def test_arguments_the_participant_does_not_take_are_refused(args: dict[str, Any]) -> None:
    enlisting(InvalidArgument, "participant 'test.b.add'.*argument", "test.b.add", **args)


@pytest.fixture
def _misplaced(transactional_db: None, tmp_path: Path) -> Iterator[None]:
    """Participants on a database that is not there, and `xa` on SQLite; gone after the test."""
    before = dict(participants._registry)
    participant("test.bad.nowhere", using="nowhere")(lambda ctx: None)
    participant("test.bad.lite", using=places.LITE)(lambda ctx: None)
    with places.sqlite(tmp_path):
        yield
    participants._registry.clear()
    participants._registry.update(before)


@pytest.mark.usefixtures("_misplaced")
@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("test.bad.nowhere", "Unknown database 'nowhere'"),
        ("test.bad.lite", "mode 'xa' on 'lite', a sqlite database"),
    ],
)
def test_a_participant_whose_database_cannot_serve_it_is_refused(name: str, match: str) -> None:
    enlisting(InvalidArgument, match, name)


def test_the_same_work_twice_in_one_transaction_is_refused() -> None:
    enlisting(InvalidArgument, "'test.a.add' is enlisted already", "test.a.add", cents=1)


def test_the_same_participant_with_other_arguments_is_another_branch() -> None:
    with distributed_transaction("twice") as tx:
        tx.enlist("test.b.hold", cents=1)
        tx.enlist("test.bad.anything", value=1)
        tx.enlist("test.bad.anything", value=2)

    assert Transaction.objects.get(gid=tx.gid).branches.count() == 3


def test_a_transaction_has_at_most_64_branches() -> None:
    with pytest.raises(InvalidArgument, match="at most 64 branches"):
        with distributed_transaction("bad") as tx:
            for value in range(65):
                tx.enlist("test.bad.anything", value=value)
    assert_nothing_written()


def test_an_empty_transaction_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="'bad' is empty"), distributed_transaction("bad"):
        pass
    with pytest.raises(InvalidArgument, match="'bad' is empty"):
        distributed_transaction("bad").submit()
    assert_nothing_written()


def test_an_exception_in_the_block_sends_nothing_and_closes_it() -> None:
    with pytest.raises(KeyError, match="mine"):
        with distributed_transaction("bad") as tx:
            tx.enlist("test.a.add", cents=1)
            raise KeyError("mine")

    with pytest.raises(InvalidArgument, match="closed"):
        tx.submit()
    assert_nothing_written()


@pytest.mark.parametrize(
    "use",
    [
        lambda tx: tx.enlist("test.b.add", cents=1),
        lambda tx: tx.submit(),
        lambda tx: tx.__enter__(),
    ],
    ids=["enlist", "submit", "enter"],
)
def test_a_closed_transaction_is_refused(use: Any) -> None:
    with distributed_transaction("once") as tx:
        tx.enlist("test.a.add", cents=1)

    with pytest.raises(InvalidArgument, match=f"{tx.gid}.* is closed"):
        use(tx)
    assert ledger.amount("bank_a") == 101


def test_a_cancelled_transaction_is_closed_and_was_never_written() -> None:
    tx = distributed_transaction("never")
    tx.enlist("test.a.add", cents=1)

    assert tx.cancel() is None
    with pytest.raises(InvalidArgument, match="closed"):
        tx.submit()
    assert_nothing_written()


def keyed(key: str, cents: int) -> DistributedTransaction:
    tx = distributed_transaction("keyed", key=key, wait=False)
    tx.enlist("test.a.add", cents=cents)
    tx.submit()
    return tx


def test_the_same_key_with_the_same_work_is_the_same_transaction() -> None:
    first, second = keyed("one", 1), keyed("one", 1)

    assert first.gid == second.gid
    assert second.result() == "committed"
    assert (Transaction.objects.count(), ledger.amount("bank_a")) == (1, 101)


def test_the_same_key_with_other_arguments_is_refused() -> None:
    keyed("one", 1)
    with pytest.raises(InvalidArgument, match=r"key 'one' .*other branches or arguments"):
        keyed("one", 2)
    assert (Transaction.objects.count(), ledger.amount("bank_a")) == (1, 101)


def test_a_key_after_an_abort_returns_that_abort() -> None:
    for _ in range(2):
        with pytest.raises(TransactionAborted, match="insufficient funds") as told:
            with distributed_transaction("keyed", key="poor") as tx:
                tx.enlist("test.a.add", cents=-500)
                tx.enlist("test.b.add", cents=500)
        assert told.value.gid == tx.gid
    assert Transaction.objects.count() == 1


@pytest.mark.parametrize("using", ["default", "bank_a"])
def test_inside_atomic_of_a_database_it_uses_nothing_begins(using: str) -> None:
    """ATOMIC_REQUESTS is this around a whole view."""
    entered = False
    with transaction.atomic(using=using):
        with pytest.raises(InvalidArgument, match=rf"inside atomic\(\) of database '{using}'"):
            with distributed_transaction("bad") as tx:
                entered = True
                tx.enlist("test.b.add", cents=1)
                tx.enlist("test.a.add", cents=1)
        assert entered == (using != "default")
    assert_nothing_written()


def test_submit_is_refused_inside_atomic_and_may_be_repeated_outside() -> None:
    tx = distributed_transaction("later")
    tx.enlist("test.a.add", cents=1)
    with transaction.atomic():
        with pytest.raises(InvalidArgument, match="inside atomic"):
            tx.submit()
        assert not Transaction.objects.exists()

    tx.submit()
    assert tx.result() == "committed"


@pytest.mark.parametrize("using", ["default", "bank_a"])
def test_with_autocommit_off_nothing_begins(using: str) -> None:
    connections[using].set_autocommit(False)
    try:
        with pytest.raises(InvalidArgument, match="autocommit off"):
            with distributed_transaction("bad") as tx:
                tx.enlist("test.a.add", cents=1)
    finally:
        connections[using].rollback()
        connections[using].set_autocommit(True)
    assert_nothing_written()


@pytest.mark.parametrize("wait", [-1, math.nan, True, "1", None], ids=repr)
def test_wait_is_a_duration_or_zero(wait: Any) -> None:
    tx = distributed_transaction("any")
    with pytest.raises(InvalidArgument, match="wait must be"):
        tx.result(wait=wait)


def test_result_takes_only_decided_or_applied() -> None:
    with pytest.raises(InvalidArgument, match="until must be 'decided' or 'applied', not 'done'"):
        distributed_transaction("any").result(until="done")  # type: ignore[arg-type]


@pytest.mark.parametrize("until", ["decided", "applied"])
def test_a_result_that_nobody_knows_is_unknown_and_not_an_abort(until: Any) -> None:
    with pytest.raises(OutcomeUnknown) as told:
        distributed_transaction("never-begun").result(until=until, wait=0.05)
    assert told.value.applied is None


def test_a_cancel_with_any_reason_tells_the_outcome_that_holds() -> None:
    tx = keyed("one", 1)

    assert tx.cancel("a\x00b") == "committed"


@shared_task(name="test.waits_in_a_task")
def waits_in_a_task(participant_name: str, args: dict[str, Any], wait: bool) -> str:
    with distributed_transaction("from-a-task", wait=wait) as tx:
        tx.enlist(participant_name, **args)
    return tx.gid


def in_a_task(participant_name: str, args: dict[str, Any], *, wait: bool) -> str:
    """Run by Celery's own tracer, as a worker would."""
    task = current_app.tasks["test.waits_in_a_task"]
    gid: str = task.apply((participant_name, args, wait), throw=True).get()
    return gid


DEPOSIT = ("bank.a.deposit", {"account": 1, "cents": 1})


def test_waiting_in_a_celery_task_for_another_worker_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"'bank.a.deposit' has voted; pass wait=False"):
        in_a_task(*DEPOSIT, wait=True)
    assert_nothing_written()


def test_a_celery_task_may_begin_without_waiting_or_wait_for_itself() -> None:
    begun = in_a_task(*DEPOSIT, wait=False)
    run = in_a_task("test.a.add", {"cents": 1}, wait=True)

    outcomes = dict(Transaction.objects.values_list("gid", "outcome"))
    assert outcomes == {begun: None, run: "committed"}
    assert [each.kwargs for each in broker.messages("bank.prepare")] == [
        {"gid": begun, "seqs": [1]}
    ]
