"""The auditor against the real tables of every database."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from coordination import conf
from coordination.exceptions import InvalidArgument
from coordination.observing.records import Verdict, Violation
from coordination.observing.verdicts import acknowledge
from coordination.transactions.auditor import BATCH_MAX, Auditor
from coordination.transactions.branches import xa
from coordination.transactions.coordinator import store
from coordination.transactions.judging import ViolationKind
from coordination.transactions.participants import registered
from coordination.transactions.tables import Transaction
from coordination.transactions.types import (
    Form,
    Mode,
    NewBranch,
    NewTransaction,
    Outcome,
    Protocol,
    Work,
)
from tests.integration import ledger
from tests.integration.ledger import execute
from tests.integration.observing import hold, move, pay

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"])


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    with ledger.ledgers():
        yield


def an_auditor() -> Auditor:
    return Auditor("default", node=conf.current().node)


def audit() -> Verdict:
    an_auditor().step()
    return Verdict.objects.get(name="atomicity")


def unaudited() -> int:
    return Transaction.objects.filter(ended_at__isnull=False, audited_at=None).count()


def test_every_ended_transaction_is_counted_once_and_holds() -> None:
    move()
    move(500)
    hold()
    hold(spend=-500)
    pay()
    pay(spend=-500)
    first, second = audit(), audit()

    assert (first.state, first.checked, first.violations) == ("HOLDS", 6, 0)
    assert first.window_start == Transaction.objects.earliest("ended_at").ended_at
    assert second.checked == 6
    assert second.checked_at > first.checked_at
    assert first.evidence["databases"].keys() == {"bank_a", "bank_b"}
    assert (first.evidence["unaudited"], unaudited()) == (0, 0)


def test_without_anything_ended_nothing_is_proven() -> None:
    verdict = audit()

    assert (verdict.state, verdict.reason) == ("UNPROVEN", "nothing has ended yet")


def test_two_auditors_count_a_transaction_once() -> None:
    gids = [move() for _ in range(3)]
    one, other = an_auditor(), an_auditor()
    one.step()
    other.step()

    assert Verdict.objects.get().checked == len(gids)


def test_more_than_a_batch_is_audited_pass_by_pass() -> None:
    original = Transaction.objects.get(gid=move())
    hour = timedelta(hours=1)
    for number in range(BATCH_MAX + 1):
        original.gid = f"bank-key-{number:032x}"
        original.ended_at -= hour
        original.save(force_insert=True)
    auditor = an_auditor()

    assert auditor.step() == BATCH_MAX
    assert Verdict.objects.get().evidence["unaudited"] == 2
    assert auditor.step() == 0
    assert (Verdict.objects.get().checked, unaudited()) == (BATCH_MAX + 2, 0)


Plant = Callable[[str], Any]


def _branch(change: str) -> Plant:
    sql = f"UPDATE concord_branch SET {change} WHERE seq = 2 AND transaction_id = %s"
    return lambda gid: execute("default", sql, gid)


def _in_b(sql: str) -> Plant:
    return lambda gid: execute("bank_b", sql, f"cc:{gid}:2")


def _in_b_hold(sql: str) -> Plant:
    return lambda gid: execute("bank_b", sql, f"cc:{gid}:1")


def _event(sql: str) -> Plant:
    return lambda gid: execute("default", sql, gid)


def _leave_prepared(gid: str) -> None:
    connection = connections["bank_b"]
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO ledger VALUES (7, 7)")
        cursor.execute(f"PREPARE TRANSACTION 'cc:{gid}:2'")
    execute(
        "default",
        "UPDATE concord_transaction SET ended_at = ended_at - interval '2 min' WHERE gid = %s",
        gid,
    )


def _declined() -> str:
    return hold(spend=-500)


def _given_back() -> str:
    return pay(spend=-500)


def _voted_down() -> str:
    return move(500)


PLANTED: dict[ViolationKind, tuple[Callable[[], str], Plant]] = {
    ViolationKind.HEURISTIC: (move, _branch("actual = 'heuristic_rollback'")),
    ViolationKind.MISSING_WITNESS: (
        move,
        _in_b("DELETE FROM concord_witness WHERE branch_gid = %s"),
    ),
    ViolationKind.WITNESS_ON_ABORT: (
        _voted_down,
        _in_b("INSERT INTO concord_witness (branch_gid, kind, at) VALUES (%s, 'W', now())"),
    ),
    ViolationKind.LEFT_PREPARED: (move, _leave_prepared),
    ViolationKind.VOTE_MISSING: (move, _branch("vote = NULL")),
    ViolationKind.OUTCOME_MISMATCH: (move, _branch("actual = 'aborted'")),
    ViolationKind.CONFIRM_MISSING: (
        hold,
        _in_b_hold("DELETE FROM concord_barrier WHERE op = 'confirm' AND branch_gid = %s"),
    ),
    ViolationKind.CANCEL_ON_COMMIT: (
        hold,
        _in_b_hold(
            "INSERT INTO concord_barrier (branch_gid, op, reason, at)"
            " VALUES (%s, 'cancel', 'cancel', now())"
        ),
    ),
    ViolationKind.CONFIRM_ON_ABORT: (
        _declined,
        _in_b_hold(
            "INSERT INTO concord_barrier (branch_gid, op, reason, at)"
            " VALUES (%s, 'confirm', 'confirm', now())"
        ),
    ),
    ViolationKind.CANCEL_MISSING: (
        _declined,
        _in_b_hold("DELETE FROM concord_barrier WHERE op = 'cancel' AND branch_gid = %s"),
    ),
    ViolationKind.ACTION_MISSING: (
        pay,
        _in_b_hold("DELETE FROM concord_barrier WHERE branch_gid = %s"),
    ),
    ViolationKind.COMPENSATION_MISSING: (
        _given_back,
        _in_b_hold("DELETE FROM concord_barrier WHERE op = 'cancel' AND branch_gid = %s"),
    ),
    ViolationKind.DECIDED_AFTER_COMMIT: (
        move,
        _branch(
            "finished_at = (SELECT decided_at - interval '1 ms' FROM concord_transaction"
            " WHERE gid = transaction_id)"
        ),
    ),
    ViolationKind.OUTCOME_CHANGED: (
        move,
        _event(
            'UPDATE concord_event SET data = data || \'{"outcome": "aborted"}\''
            " WHERE kind = 'transaction.decided' AND name = %s"
        ),
    ),
    ViolationKind.HISTORY_GAP: (
        move,
        _event("DELETE FROM concord_event WHERE kind = 'branch.voted' AND name = %s"),
    ),
}


def test_every_kind_of_violation_is_planted_here() -> None:
    assert set(ViolationKind) == set(PLANTED)


@pytest.mark.parametrize("kind", PLANTED)
def test_each_planted_violation_turns_the_verdict_red_with_its_evidence(
    kind: ViolationKind,
) -> None:
    run, plant = PLANTED[kind]
    move()
    gid = run()
    plant(gid)
    verdict = audit()
    (violation,) = Violation.objects.all()

    assert (verdict.state, verdict.violations, verdict.checked) == ("VIOLATED", 1, 2)
    assert (violation.gid, violation.kind) == (gid, kind)
    assert violation.sentence
    assert violation.evidence["outcome"] == Transaction.objects.get(gid=gid).outcome


def test_a_foreign_rollback_of_a_voted_branch_is_shown_as_a_heuristic_outcome() -> None:
    gid = "bank-6921c0bf-00000000000000aa"
    works = [_work(gid, 1, "test.a.add", "bank_a", -10), _work(gid, 2, "test.b.add", "bank_b", 10)]
    store().begin(_new(gid, works))
    for work in works:
        ballot = xa.prepare(work, registered()[work.participant])
        store().vote(gid, [ballot], by="test")
    execute("bank_b", f"ROLLBACK PREPARED 'cc:{gid}:2'")
    for work in works:
        store().finish(gid, [xa.finish(work, Outcome.COMMITTED)], by="test")
    verdict, violation = audit(), Violation.objects.get()

    assert Transaction.objects.get(gid=gid).heuristic == "mixed"
    assert verdict.state == "VIOLATED"
    assert violation.sentence == (
        "test.b.add on bank_b ended as heuristic_rollback, outcome committed"
    )
    assert violation.evidence["witness"] is None
    assert violation.evidence["database"] == "bank_b"


def _work(gid: str, seq: int, name: str, using: str, cents: int) -> Work:
    return Work(
        gid=gid,
        seq=seq,
        participant=name,
        using=using,
        mode=Mode.XA,
        form=Form.PREPARE,
        args={"cents": cents},
        remaining_ms=10_000,
    )


def _new(gid: str, works: list[Work]) -> NewTransaction:
    return NewTransaction(
        gid=gid,
        name="move",
        protocol=Protocol.TWO_PHASE,
        node="bank",
        key=None,
        digest="",
        deadline_ms=10_000,
        patience_ms=2_000,
        mailbox="",
        then_signature=None,
        branches=tuple(
            NewBranch(
                seq=work.seq,
                participant=work.participant,
                node="bank",
                using=work.using,
                mode=work.mode,
                form=work.form,
                inline=True,
                args=work.args,
            )
            for work in works
        ),
        by="test",
    )


def test_an_acknowledged_violation_is_counted_and_no_longer_red() -> None:
    execute("bank_b", "DELETE FROM concord_witness WHERE branch_gid = %s", f"cc:{move()}:2")
    audit()
    violation = Violation.objects.get()
    with pytest.raises(InvalidArgument, match="at least 10 characters"):
        acknowledge([violation.id], actor="m.keller", reason="known")
    closed = acknowledge([violation.id], actor="m.keller", reason="restored from the archive")
    verdict = audit()

    assert closed == 1
    assert (verdict.state, verdict.violations, verdict.acknowledged) == ("HOLDS", 0, 1)
    assert acknowledge([violation.id], actor="x", reason="restored from the archive") == 0


def test_a_database_that_does_not_answer_leaves_its_transactions_unproven(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone, both = move_alone(), move()
    auditor = an_auditor()
    with monkeypatch.context() as broken:
        broken.setitem(connections["bank_b"].settings_dict, "PORT", 1)
        connections["bank_b"].close()
        auditor.step()
        auditor.step()
    connections["bank_b"].close()
    verdict = Verdict.objects.get()

    assert verdict.state == "UNPROVEN"
    assert verdict.reason.startswith("cannot see bank_b: ")
    assert verdict.evidence["databases"]["bank_b"]["seen"] is False
    assert verdict.checked == 1
    assert Transaction.objects.get(gid=alone).audited_at is not None
    assert Transaction.objects.get(gid=both).audited_at is None
    assert (audit().state, unaudited()) == ("HOLDS", 0)


def move_alone() -> str:
    from coordination import distributed_transaction

    with distributed_transaction("alone") as tx:
        tx.enlist("test.a.add", cents=1)
    assert tx.gid is not None
    return tx.gid


def test_branches_of_other_nodes_are_counted_as_unseen() -> None:
    gid = move()
    execute("default", "UPDATE concord_branch SET node = 'shop' WHERE seq = 2")
    execute("bank_b", "DELETE FROM concord_witness WHERE branch_gid = %s", f"cc:{gid}:2")
    verdict = audit()

    assert (verdict.state, verdict.checked) == ("HOLDS", 1)
    assert verdict.evidence["unseen_branches"] == 1


def test_what_the_sweeper_will_still_clean_up_is_not_judged_yet() -> None:
    gid = move()
    _leave_prepared(gid)
    execute("default", "UPDATE concord_transaction SET ended_at = clock_timestamp()")
    audit()

    assert not Violation.objects.exists()
    assert unaudited() == 1
    execute("bank_b", f"ROLLBACK PREPARED 'cc:{gid}:2'")
    assert (audit().state, unaudited()) == ("HOLDS", 0)


def test_a_prepared_branch_without_a_transaction_is_shown_in_doubt() -> None:
    move()
    audit()
    orphan = "bank-key-" + "0" * 32
    with connections["bank_b"].cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO ledger VALUES (7, 7)")
        cursor.execute(f"PREPARE TRANSACTION 'cc:{orphan}:1'")
    verdict = audit()

    assert verdict.state == "HOLDS"
    assert verdict.evidence["in_doubt_total"] == 1
    (shown,) = verdict.evidence["in_doubt"]
    assert shown["branch_gid"] == f"cc:{orphan}:1"
    assert (shown["database"], shown["transaction"]) == ("bank_b", "unknown")
    assert verdict.evidence["databases"]["bank_b"]["prepared"] == 1
