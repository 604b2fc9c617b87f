"""Prepared transactions nobody is going to finish: ended as the register says, or left alone."""

from collections.abc import Iterator

import pytest
from django.db import connections

from coordination import distributed_transaction
from coordination.exceptions import TransactionAborted
from coordination.transactions import orphans
from coordination.transactions.tables import Branch, Transaction
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import broker, ledger

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    broker.clear()
    with ledger.ledgers():
        yield


def ended(*, cents: int = 1) -> str:
    """A transaction that has ended: committed, or aborted when there is not enough."""
    tx = distributed_transaction("ended")
    try:
        with tx:
            tx.enlist("test.a.add", cents=cents)
            tx.enlist("test.b.add", cents=cents)
    except TransactionAborted:
        pass
    return tx.gid


def undecided() -> str:
    tx = distributed_transaction("open", wait=False, deadline=600)
    tx.enlist("bank.b.deposit", account=1, cents=1)
    tx.enlist("test.a.add", cents=1)
    tx.submit()
    return tx.gid


def prepare(branch: str) -> None:
    """Work that somebody prepared under this id in bank_a, and left."""
    ledger.execute("bank_a", "BEGIN")
    ledger.execute("bank_a", "INSERT INTO ledger VALUES (9, 9)")
    ledger.execute("bank_a", f"PREPARE TRANSACTION '{branch}'")
    assert connections["bank_a"].get_autocommit()


def left() -> list[str]:
    return ledger.prepared("bank_a")


@pytest.mark.parametrize(("cents", "kept"), [(1, [(9,)]), (-500, [])], ids=["commit", "abort"])
def test_what_is_left_of_an_ended_transaction_ends_as_its_register_says(
    cents: int, kept: list[tuple[int]]
) -> None:
    prepare(f"cc:{ended(cents=cents)}:1")

    assert orphans.sweep(min_age_s=0) == 1

    assert left() == []
    assert ledger.execute("bank_a", "SELECT amount FROM ledger WHERE id = 9") == kept


def test_the_undecided_is_left_to_its_deadline() -> None:
    gid = undecided()

    assert orphans.sweep(min_age_s=0) == 0
    assert left() == [f"cc:{gid}:2"]


def test_a_decided_branch_that_no_worker_ended_is_ended_and_recorded() -> None:
    gid = undecided()
    Transaction.objects.filter(gid=gid).update(outcome="aborted")

    assert orphans.sweep(min_age_s=0) == 1

    branch = Branch.objects.get(transaction=gid, seq=2)
    assert (left(), branch.actual) == ([], "aborted")


def test_what_is_young_is_left_to_whoever_is_finishing_it() -> None:
    prepare(f"cc:{ended()}:1")

    assert orphans.sweep(min_age_s=3_600) == 0
    assert len(left()) == 1


@pytest.mark.parametrize(
    "branch",
    [
        "cc:bank-00000000-0000000000000000:1",
        "cc:shop-00000000-0000000000000000:1",
        "cc:bank-is-a-prefix-00000000-0000000000000000:1",
        "cc:bank-nonsense",
        "somebody_elses",
    ],
)
def test_what_has_no_row_or_is_not_ours_is_never_touched(branch: str) -> None:
    prepare(branch)

    assert orphans.sweep(min_age_s=0) == 0
    assert left() == [branch]


def test_a_branch_number_that_the_transaction_does_not_have_is_never_touched() -> None:
    prepare(f"cc:{ended()}:7")

    assert orphans.sweep(min_age_s=0) == 0
    assert len(left()) == 1
