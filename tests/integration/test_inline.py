"""Transactions whose participants live in the calling process."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import settings
from django.test import override_settings

from coordination import distributed_transaction
from coordination.exceptions import TransactionAborted
from coordination.transactions.tables import Branch, Transaction, Witness
from tests.integration import ledger

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"])


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    with ledger.ledgers():
        yield


def test_two_databases_commit_together() -> None:
    with distributed_transaction("move") as tx:
        tx.enlist("test.a.add", cents=-10)
        tx.enlist("test.b.add", cents=10)

    row = Transaction.objects.get(gid=tx.gid)
    assert (ledger.amount("bank_a"), ledger.amount("bank_b")) == (90, 110)
    assert (row.outcome, row.unfinished, row.ended_at is not None) == ("committed", 0, True)
    assert ledger.prepared("bank_a") == ledger.prepared("bank_b") == []
    assert Witness.objects.using("bank_a").get().kind == "W"


def test_the_deadline_of_the_settings_holds_where_the_caller_names_none() -> None:
    changed = {**settings.COORDINATION, "TRANSACTIONS": {"DEADLINE": 77}}
    with override_settings(COORDINATION=changed), distributed_transaction("move") as tx:
        tx.enlist("test.a.add", cents=1)

    row = Transaction.objects.get(gid=tx.gid)
    assert row.deadline_at - row.created_at == timedelta(seconds=77)


def test_a_no_undoes_the_other_branch_and_gives_its_reason() -> None:
    with pytest.raises(TransactionAborted, match="insufficient funds"):
        with distributed_transaction("move") as tx:
            tx.enlist("test.a.add", cents=500)
            tx.enlist("test.b.add", cents=-500)

    row = Transaction.objects.get(gid=tx.gid)
    assert (ledger.amount("bank_a"), ledger.amount("bank_b")) == (100, 100)
    assert (row.outcome, row.unfinished) == ("aborted", 0)
    assert ledger.prepared("bank_a") == []


def test_a_no_before_the_last_agent_has_run_leaves_its_connection_to_the_vote() -> None:
    with (
        pytest.raises(TransactionAborted, match="insufficient funds"),
        distributed_transaction("move") as tx,
    ):
        tx.enlist("test.a.add", cents=-500)
        tx.enlist("test.home.add", cents=500)

    row = Transaction.objects.get(gid=tx.gid)
    assert (ledger.amount("bank_a"), ledger.amount("default")) == (100, 100)
    assert (row.outcome, row.unfinished) == ("aborted", 0)


def test_last_agent_decides_in_its_own_commit() -> None:
    with distributed_transaction("move") as tx:
        tx.enlist("test.home.add", cents=10)
        tx.enlist("test.a.add", cents=-10)

    forms = dict(Branch.objects.filter(transaction=tx.gid).values_list("seq", "form"))
    assert (ledger.amount("bank_a"), ledger.amount("default")) == (90, 110)
    assert forms == {1: "last", 2: "prepare"}
    assert Transaction.objects.get(gid=tx.gid).ended_at is not None


def test_single_branch_needs_no_prepare() -> None:
    with distributed_transaction("alone") as tx:
        tx.enlist("test.a.add", cents=1)

    branch = Branch.objects.get(transaction=tx.gid)
    assert (branch.form, branch.vote, branch.actual) == ("one_phase", "yes", "committed")
    assert ledger.amount("bank_a") == 101


def test_read_only_branch_is_never_prepared() -> None:
    with distributed_transaction("look") as tx:
        tx.enlist("test.a.read")
        tx.enlist("test.b.add", cents=1)

    votes = dict(Branch.objects.filter(transaction=tx.gid).values_list("seq", "vote"))
    assert votes == {1: "read_only", 2: "yes"}
    assert not Witness.objects.using("bank_a").exists()


def test_tcc_confirms_with_an_xa_branch() -> None:
    with distributed_transaction("hold") as tx:
        tx.enlist("test.b.hold", cents=40)
        tx.enlist("test.a.add", cents=40)

    assert (ledger.amount("bank_b"), ledger.amount("bank_a")) == (60, 140)
    assert ledger.execute("bank_b", "SELECT amount FROM ledger WHERE id = 2") == [(40,)]
    assert Transaction.objects.get(gid=tx.gid).ended_at is not None


def test_tcc_cancels_when_another_branch_refuses() -> None:
    with pytest.raises(TransactionAborted):
        with distributed_transaction("hold") as tx:
            tx.enlist("test.b.hold", cents=40)
            tx.enlist("test.a.add", cents=-500)

    assert (ledger.amount("bank_b"), ledger.amount("bank_a")) == (100, 100)
    assert Transaction.objects.get(gid=tx.gid).ended_at is not None
