"""What the body of an `xa` participant may do, and what happens when it does something else.

Every rule holds in all three forms: prepared beside another branch, alone in one phase, and as the
last agent in the coordinator's own database.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.db import connections

from coordination import distributed_transaction
from coordination.exceptions import TransactionAborted
from coordination.transactions import sweeper
from coordination.transactions.tables import Branch, Transaction, Witness
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import bodies, broker, ledger

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

FORMS = {"prepare": "bank_a", "one_phase": "bank_a", "last": "default"}


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    broker.clear()
    with ledger.ledgers():
        yield


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What came of a transaction with the body under test in it."""

    using: str
    row: Transaction
    branch: Branch

    @property
    def change(self) -> int:
        return 100 - ledger.amount(self.using)


def run(body: str, form: str, *, deadline: float = 10) -> Ran:
    using = FORMS[form]
    transaction = distributed_transaction("rules", deadline=deadline)
    try:
        with transaction as tx:
            tx.enlist(f"test.rule.{body}.{using}")
            if form != "one_phase":
                tx.enlist("test.b.add", cents=7)
    except TransactionAborted:
        pass
    row = Transaction.objects.get(gid=transaction.gid)
    branch = Branch.objects.get(transaction=row, seq=1)
    assert branch.form == form
    return Ran(using=using, row=row, branch=branch)


def assert_nothing_left(ran: Ran) -> None:
    """No branch prepared, everything ended, connections as they were and usable."""
    assert [ledger.prepared(using) for using in ALIASES] == [[], [], []]
    assert (ran.row.pending, ran.row.unfinished) == (0, 0)
    assert ran.row.ended_at is not None
    for using in ALIASES:
        connection = connections[using]
        assert connection.get_autocommit()
        assert not connection.in_atomic_block
        assert connection.run_on_commit == []
        assert "_commit" not in vars(connection)
        assert ledger.execute(using, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("body", bodies.BROKEN)
def test_a_broken_rule_is_a_no_with_its_reason_and_leaves_nothing(body: str, form: str) -> None:
    ran = run(body, form, deadline=0.4 if body in ("returns_late", "waits_in_a_statement") else 10)

    assert (ran.row.outcome, ran.branch.vote, ran.branch.actual) == ("aborted", "no", "aborted")
    assert re.search(bodies.BROKEN[body], ran.branch.reason), ran.branch.reason
    assert ran.branch.reason in ran.row.reason
    assert (ran.change, ledger.amount("bank_b")) == (0, 100)
    assert ran.row.heuristic == ""
    assert_nothing_left(ran)


@pytest.mark.parametrize("body", bodies.UNPREPARABLE)
def test_what_postgresql_cannot_prepare_is_a_no_where_it_is_to_be_prepared(
    body: str, form: str
) -> None:
    ran = run(body, form)

    kept = form != "prepare"
    assert (ran.row.outcome, ran.change) == ("committed" if kept else "aborted", kept)
    assert kept or re.search(bodies.UNPREPARABLE[body], ran.branch.reason), ran.branch.reason
    assert_nothing_left(ran)


@pytest.mark.parametrize("body", bodies.ESCAPED)
def test_a_body_that_commits_by_itself_is_a_no_and_a_recorded_heuristic(
    body: str, form: str
) -> None:
    ran = run(body, form)

    assert (ran.branch.vote, ran.branch.actual) == ("no", "heuristic_commit")
    assert "committed by itself" in ran.branch.reason
    assert (ran.row.outcome, ran.change, ledger.amount("bank_b")) == ("aborted", 1, 100)
    assert ran.row.heuristic == ("commit" if form == "one_phase" else "mixed")
    assert_nothing_left(ran)


@pytest.mark.parametrize("body", bodies.KEPT)
def test_what_is_allowed_is_kept(body: str, form: str) -> None:
    ran = run(body, form)

    changed = bodies.KEPT[body] == "yes" and body != "leaves_only_a_message"
    assert (ran.row.outcome, ran.branch.vote) == ("committed", bodies.KEPT[body])
    assert ran.change == changed
    assert ledger.amount("bank_b") == (100 if form == "one_phase" else 107)
    assert Witness.objects.using(ran.using).count() == (ran.branch.vote == "yes")


@pytest.mark.parametrize("body", ["leaves_a_message_for_after_the_commit", "leaves_only_a_message"])
def test_a_message_for_after_the_commit_is_sent_once_committed(body: str, form: str) -> None:
    ran = run(body, form)
    bring_to_an_end(ran)

    sent = broker.messages("test.mail")
    assert {(each.task, *each.args) for each in sent} == {("test.mail", "hello")}
    # A repetition has the same id, so that a consumer can tell.
    assert {each.id for each in sent} == {f"cc:{ran.row.gid}:1-0"}


def test_a_message_for_after_the_commit_is_not_sent_after_an_abort() -> None:
    with pytest.raises(TransactionAborted):
        with distributed_transaction("rules") as tx:
            tx.enlist("test.rule.leaves_a_message_for_after_the_commit.bank_a")
            tx.enlist("test.b.add", cents=-500)

    assert broker.messages("test.mail") == []
    assert ledger.amount("bank_a") == 100


def bring_to_an_end(ran: Ran) -> None:
    """The sweeper and a worker do what the caller left to them."""
    if Transaction.objects.get(gid=ran.row.gid).ended_at is None:
        Transaction.objects.filter(gid=ran.row.gid).update(next_at=ran.row.created_at)
        sweeper.sweep_once()
        for message in broker.messages("bank.finish"):
            from coordination.transactions import worker

            worker.finish(**message.kwargs)
    assert Transaction.objects.get(gid=ran.row.gid).ended_at is not None


def test_a_reason_tells_the_error_and_nothing_around_it(form: str) -> None:
    ran = run("raises", form)

    assert ran.branch.reason == "RuntimeError: it broke"
    assert "Traceback" not in ran.row.reason


def test_a_branch_that_refuses_spares_those_after_it() -> None:
    with pytest.raises(TransactionAborted):
        with distributed_transaction("rules") as tx:
            tx.enlist("test.rule.raises.bank_a")
            tx.enlist("test.b.add", cents=1)

    second = Branch.objects.get(transaction=tx.gid, seq=2)
    assert (second.vote, second.actual) == ("no", "aborted")
    assert ledger.amount("bank_b") == 100
