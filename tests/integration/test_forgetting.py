"""What has ended long ago is forgotten, and what comes for it then does nothing."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import override_settings

from coordination import distributed_transaction
from coordination.exceptions import InvalidArgument, OutcomeUnknown, TransactionAborted
from coordination.observing.records import Verdict, Violation
from coordination.observing.verdicts import acknowledge
from coordination.transactions import (
    orphans,
    requests,
    retention,
    sweeper,
    tasks,
    worker,
)
from coordination.transactions.forgetting import Forgetter, Kept, candidates
from coordination.transactions.records import TransactionRecord
from coordination.transactions.tables import Transaction, Witness
from tests.contract.threads import at_once, disconnected
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import broker, ledger
from tests.integration.aging import age, forget, judge, left, remembered
from tests.integration.observing import hold, move
from tests.integration.skewed import manage

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

Parts = list[tuple[str, dict[str, int]]]
FORMS: dict[str, Parts] = {
    "xa": [("test.a.add", {"cents": 1}), ("test.b.add", {"cents": 1})],
    "tcc": [("test.b.hold", {"cents": 5}), ("test.a.add", {"cents": 1})],
    "one phase": [("test.a.add", {"cents": 1})],
    "last": [("test.home.add", {"cents": 1}), ("test.a.add", {"cents": 1})],
    "read only": [("test.a.read", {}), ("test.b.add", {"cents": 1})],
}
NO: dict[str, Parts] = {
    "xa": [("test.a.add", {"cents": 1}), ("test.b.add", {"cents": -500})],
    "tcc": [("test.b.hold", {"cents": 5}), ("test.a.add", {"cents": -500})],
    "one phase": [("test.a.add", {"cents": -500})],
    "last": [("test.home.add", {"cents": -500}), ("test.a.add", {"cents": 1})],
}
CASES = [
    *(pytest.param(parts, "committed", id=f"{form} committed") for form, parts in FORMS.items()),
    *(pytest.param(parts, "aborted", id=f"{form} aborted") for form, parts in NO.items()),
]


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    broker.clear()
    for table in (Violation, Verdict, TransactionRecord):
        table.objects.all().delete()
    with ledger.ledgers():
        yield


def done(parts: Parts, *, key: str | None = None) -> str:
    tx = distributed_transaction("done", key=key)
    for name, args in parts:
        tx.enlist(name, **args)
    tx.submit()
    with suppress(TransactionAborted):
        tx.result(until="applied")
    return tx.gid


def amounts() -> list[int]:
    return [ledger.amount(using) for using in ALIASES]


def everywhere() -> int:
    return sum(map(left, ALIASES))


def fates() -> list[Kept | None]:
    return [each.kept for each in candidates()]


@pytest.mark.parametrize(("parts", "outcome"), CASES)
def test_an_old_transaction_is_forgotten_with_all_that_it_left(parts: Parts, outcome: str) -> None:
    gid = done(parts)
    assert Transaction.objects.get(gid=gid).outcome == outcome
    judge()
    age()
    forget()

    assert (remembered(), everywhere()) == (0, 0)


@pytest.mark.parametrize(("parts", "outcome"), CASES)
def test_what_comes_for_a_forgotten_transaction_does_nothing(parts: Parts, outcome: str) -> None:
    gid, seqs = done(parts), [*range(1, len(parts) + 1)]
    judge()
    age()
    before = amounts()
    forget()

    words = [task(gid, [seq]) for task in (worker.prepare, worker.finish) for seq in seqs]
    words.append(worker.prepare(gid, seqs))

    assert set(words) == {"unknown"}
    assert (amounts(), everywhere(), remembered()) == (before, 0, 0)
    assert [ledger.prepared(using) for using in ALIASES] == [[], [], []]
    assert (orphans.sweep(min_age_s=0), sweeper.sweep_once()) == (0, 0)
    judge()
    assert Violation.objects.count() == 0


def test_nobody_says_that_a_forgotten_transaction_was_aborted() -> None:
    with distributed_transaction("done") as tx:
        tx.enlist("test.a.add", cents=1)
    judge()
    age()
    forget()

    again = distributed_transaction("done")
    again.gid = tx.gid
    with pytest.raises(OutcomeUnknown):
        again.result(wait=0)
    for ask in (requests.status, partial(requests.cancel, reason="too late")):
        with pytest.raises(InvalidArgument, match="never begun, or forgotten"):
            ask(tx.gid)


def test_what_is_young_is_remembered() -> None:
    move()
    hold(spend=-500)
    judge()
    before = (remembered(), everywhere())
    age(days=6.9)
    forget()

    assert (remembered(), everywhere()) == before


def test_what_could_still_run_until_its_deadline_is_remembered() -> None:
    gid = move()
    judge()
    age()
    ledger.execute("default", "UPDATE concord_transaction SET deadline_at = now()")
    forget()

    assert (fates(), Transaction.objects.get().gid) == ([Kept.YOUNG], gid)


def unaudited(gid: str) -> None:
    Transaction.objects.filter(gid=gid).update(audited_at=None)


def unfinished(gid: str) -> None:
    Transaction.objects.filter(gid=gid).update(ended_at=None, unfinished=1)


def heuristic(gid: str) -> None:
    Transaction.objects.filter(gid=gid).update(heuristic="mixed")


def unobserved(gid: str) -> None:
    ledger.execute("default", "UPDATE concord_event SET seq = NULL WHERE name = %s", gid)


def violated(gid: str) -> None:
    Violation.objects.create(verdict="atomicity", gid=gid, kind="heuristic", sentence="it broke")


def prepared(gid: str) -> None:
    ledger.execute("bank_a", "BEGIN")
    ledger.execute("bank_a", "INSERT INTO ledger VALUES (9, 9)")
    ledger.execute("bank_a", f"PREPARE TRANSACTION 'cc:{gid}:1'")


@pytest.mark.parametrize(
    ("hinder", "why"),
    [
        (unaudited, Kept.UNAUDITED),
        (unfinished, Kept.UNFINISHED),
        (heuristic, Kept.UNACKNOWLEDGED),
        (violated, Kept.UNACKNOWLEDGED),
        (unobserved, Kept.UNOBSERVED),
        (prepared, Kept.PREPARED),
    ],
)
def test_what_is_not_settled_is_never_forgotten(hinder: Callable[[str], None], why: Kept) -> None:
    gid = move()
    judge()
    age()
    hinder(gid)
    before = (remembered(), everywhere())
    forget()

    assert fates() == [why]
    assert (remembered(), everywhere()) == before


def test_what_was_acknowledged_may_be_forgotten() -> None:
    gid = move()
    judge()
    age()
    heuristic(gid)
    violated(gid)
    acknowledge(
        [row.pk for row in Violation.objects.all()], actor="a person", reason="it was put right"
    )
    forget()

    assert (remembered(), everywhere()) == (0, 0)
    assert Violation.objects.get().acknowledged_by == "a person"


def test_a_key_means_a_new_transaction_once_the_former_is_forgotten() -> None:
    for spent in range(1, 4):
        done(FORMS["last"], key="order 7")
        done(FORMS["last"], key="order 7")
        assert amounts() == [100 + spent, 100 + spent, 100]
        judge()
        age()
        forget()


def test_a_key_may_be_used_for_other_work_then_and_each_outcome_is_its_own() -> None:
    first = done(NO["xa"], key="order 8")
    judge()
    age()
    forget()
    second = done(FORMS["tcc"], key="order 8")
    judge()

    assert first == second
    assert Transaction.objects.get(gid=second).outcome == "committed"
    assert Verdict.objects.get().violations == 0


@pytest.mark.parametrize("point", ["forget.branches.after", "forget.rows.after"])
def test_what_a_sweeper_left_that_died_in_between_the_next_one_finds(
    point: str, process_environment: dict[str, str], tmp_path: Path
) -> None:
    move()
    hold()
    judge()
    age()
    (tmp_path / f"{point}.arm").write_text('{"action": "kill"}')
    armed = {"CONCORD_FAILPOINTS_DIR": str(tmp_path), "FAILPOINTS": "1"}
    environment = process_environment | armed
    with manage("concord", "sweep", "--once", ahead_s=0, environment=environment) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, said
    assert messages_do_nothing()
    forget()

    assert (remembered(), everywhere()) == (0, 0)


def messages_do_nothing() -> bool:
    before = (amounts(), everywhere())
    for gid in Transaction.objects.values_list("gid", flat=True):
        worker.prepare(gid, [1, 2])
        worker.finish(gid, [1, 2])
    return (amounts(), everywhere()) == before


def test_a_database_that_does_not_answer_keeps_its_transactions() -> None:
    both, one = move(), done(FORMS["one phase"])
    judge()
    age()
    with out_of_reach("bank_b"):
        assert dict(zip((both, one), fates(), strict=True)) == {both: Kept.UNSEEN, one: None}
        Forgetter().step()
    assert list(Transaction.objects.values_list("gid", flat=True)) == [both]
    forget()

    assert (remembered(), everywhere()) == (0, 0)


@contextmanager
def out_of_reach(using: str) -> Iterator[None]:
    """Let the database alias be one that nobody can connect to."""
    settings = connections[using].settings_dict
    port = settings["PORT"]
    connections[using].close()
    settings["PORT"] = "1"
    try:
        yield
    finally:
        connections[using].close()
        settings["PORT"] = port


def test_any_number_may_forget_at_once() -> None:
    for _ in range(30):
        move()
    judge()
    age()
    at_once(*[retention.run_once] * 3)
    forget()

    assert (remembered(), everywhere()) == (0, 0)


def test_a_transaction_of_another_node_is_left_to_it() -> None:
    move()
    judge()
    age()
    before = (remembered(), everywhere())
    with override_settings(COORDINATION=django_settings.COORDINATION | {"NODE": "shop"}):
        forget()

    assert (remembered(), everywhere()) == before


def test_a_late_message_of_the_broker_finds_nothing_to_do() -> None:
    """The whole way: sent, lost, ended by another, forgotten, delivered again by the broker."""
    tx = distributed_transaction("sent", wait=False)
    tx.enlist("bank.a.deposit", account=1, cents=1)
    tx.enlist("test.a.add", cents=1)
    tx.submit()
    (message,) = broker.messages("bank.prepare")
    tx.cancel()
    (finish,) = broker.messages("bank.finish")
    tasks.finish_branches(**finish.kwargs)
    judge()
    age()
    forget()

    assert remembered() == 0
    assert tasks.prepare_branches(**message.kwargs) == "unknown"
    assert tasks.finish_branches(**finish.kwargs) == "unknown"
    assert (amounts(), everywhere()) == ([100, 100, 100], 0)


def test_the_sweeper_forgets_until_it_is_stopped() -> None:
    move()
    judge()
    age()
    stop = threading.Event()
    forgets = partial(retention.run, stop, round_pause_s=0.05)
    threads = [threading.Thread(target=disconnected, args=(forgets,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    gone = threading.Event()
    for _ in range(100):
        if gone.wait(0.05) or (remembered(), everywhere()) == (0, 0):
            break
    stop.set()
    for thread in threads:
        thread.join(10)

    assert (remembered(), everywhere()) == (0, 0)


def test_verify_does_not_judge_what_is_being_forgotten() -> None:
    gid = move()
    judge()
    age()
    Witness.objects.using("bank_a").all().delete()

    with pytest.raises(CommandError, match="within the retention"):
        call_command("concord", "verify", "--gid", gid)
