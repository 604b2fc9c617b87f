"""The form whose own commit decides: its answer must be what its database will hold for ever."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from coordination.kernel.gids import branch_gid
from coordination.transactions import runner
from coordination.transactions.branches import one_phase, witness
from coordination.transactions.participants import lookup
from coordination.transactions.types import Actual, Form, Mode, Vote, Work
from tests.integration import ledger

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"])


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    with ledger.ledgers():
        yield


def work(cents: int, **changes: object) -> Work:
    made = Work(
        gid="bank-00000001-0000000000000001",
        seq=1,
        participant="test.a.add",
        using="bank_a",
        mode=Mode.XA,
        form=Form.ONE_PHASE,
        args={"cents": cents},
        remaining_ms=30_000,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def test_after_a_no_a_repeated_message_cannot_commit() -> None:
    participant = lookup("test.a.add")

    refused = one_phase.prepare(work(-500), participant)
    repeated = one_phase.prepare(work(5), participant)

    assert (refused.vote, refused.actual) == (Vote.NO, Actual.ABORTED)
    assert repeated.vote is Vote.NO
    assert ledger.amount("bank_a") == 100


def test_a_refusal_after_another_attempt_has_committed_is_a_yes() -> None:
    participant = lookup("test.a.add")
    one_phase.prepare(work(5), participant)

    late = one_phase.prepare(work(-500), participant)

    assert late.vote is Vote.YES
    assert ledger.amount("bank_a") == 105


def test_a_process_without_the_code_asks_the_witness_before_it_says_no() -> None:
    one_phase.prepare(work(5), lookup("test.a.add"))

    known = runner.answer(work(5, participant="test.nobody"))
    unknown = runner.answer(work(5, participant="test.nobody", seq=2))

    assert (known.vote, unknown.vote) == (Vote.YES, Vote.NO)
    assert witness.read("bank_a", branch_gid(work(5).gid, 2)) == witness.TOMBSTONE
