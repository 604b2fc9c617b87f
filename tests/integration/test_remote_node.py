"""Branches of another project: its workers cannot reach our tables and act by the message."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery import signature
from django.conf import settings as django_settings
from django.db import connections, models
from django.test import override_settings

import coordination
from coordination import distributed_transaction, participant
from coordination.observing.tables import Event
from coordination.transactions import sweeper, tasks, worker
from coordination.transactions.context import Context
from coordination.transactions.tables import Branch, Transaction
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import broker, ledger

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

MODELS: tuple[type[models.Model], ...] = (Transaction, Branch, Event)
FUNCTIONS = Path(coordination.__file__).parent / "migrations/sql/0002_transactions.sql"
NO_FUNCTIONS = """
DROP FUNCTION concord_emit, concord_begin, concord_vote, concord_decide, concord_finish,
    concord_note, concord_claim, concord_settle;
DROP FUNCTION concord_freeze_outcome CASCADE"""


@participant("test.far.add", using="bank_b")
def far_add(ctx: Context, cents: int) -> None:
    ledger.add(ctx, using="bank_b", cents=cents)
    ctx.after_commit(signature("test.far.told", queue="test.far"))


@pytest.fixture(autouse=True)
def far_tables(transactional_db: None) -> Iterator[None]:
    """The other project's own coordinator lives in bank_b, which holds no transaction of ours."""
    broker.clear()
    with ledger.ledgers():
        with connections["bank_b"].schema_editor() as editor:
            for model in MODELS:
                editor.create_model(model)
        ledger.execute("bank_b", FUNCTIONS.read_text())
        try:
            yield
        finally:
            ledger.execute("bank_b", NO_FUNCTIONS)
            with connections["bank_b"].schema_editor() as editor:
                for model in reversed(MODELS):
                    editor.delete_model(model)


@pytest.fixture
def ours() -> Iterator[None]:
    """Our settings: `test.far.*` is routed to the other node, and its votes are accepted."""
    transactions = django_settings.COORDINATION["TRANSACTIONS"] | {"REMOTE_VOTES": True}
    routes = [("test.far.*", "far")]
    changes = {"TRANSACTIONS": transactions, "PARTICIPANTS": routes}
    with override_settings(COORDINATION=django_settings.COORDINATION | changes):
        yield


@contextmanager
def their_project() -> Iterator[None]:
    """Be a worker of the other node."""
    settings = django_settings.COORDINATION
    transactions = settings["TRANSACTIONS"] | {"USING": "bank_b"}
    changes = {"NODE": "far", "TRANSACTIONS": transactions, "PARTICIPANTS": []}
    with override_settings(COORDINATION=settings | changes):
        yield


def taken(queue: str) -> list[dict[str, Any]]:
    found = [message.kwargs for message in broker.messages(queue)]
    with broker.queues() as client:
        client.delete(queue)
    return found


def work_off() -> list[str]:
    """Let both projects' workers do what is in their queues; what theirs said for the log."""
    words: list[str] = []
    while before := [taken("far.prepare"), taken("far.finish"), taken("bank.decide")]:
        prepares, finishes, reports = before
        with their_project():
            words += [worker.prepare(**kwargs) for kwargs in prepares]
            words += [worker.finish(**kwargs) for kwargs in finishes]
        for kwargs in reports:
            assert tasks.vote(**kwargs)["ok"]
        if not any(before):
            return words
    return words


def begin(*, far_cents: int = 10, near_cents: int = -10) -> str:
    tx = distributed_transaction("export", wait=False)
    tx.enlist("test.a.add", cents=near_cents)
    tx.enlist("test.far.add", cents=far_cents)
    return tx.submit()


def sweep() -> None:
    ledger.execute("default", "UPDATE concord_transaction SET next_at = '2000-01-01'")
    ledger.execute("default", "UPDATE concord_branch SET next_at = NULL")
    sweeper.sweep_once()


def state(gid: str) -> tuple[str | None, bool]:
    row = Transaction.objects.get(gid=gid)
    return row.outcome, row.ended_at is not None


def amounts() -> tuple[int, int]:
    return ledger.amount("bank_a"), ledger.amount("bank_b")


def test_a_branch_of_another_project_commits_with_ours(ours: None) -> None:
    gid = begin()

    assert work_off() == ["reported", "reported"]
    assert (state(gid), amounts()) == (("committed", True), (90, 110))
    assert ledger.prepared("bank_b") == []


def test_what_it_left_for_after_the_commit_is_sent_by_its_own_worker(ours: None) -> None:
    begin()
    assert broker.messages("test.far") == []
    work_off()

    assert [message.task for message in broker.messages("test.far")] == ["test.far.told"]


def test_a_no_over_there_undoes_ours(ours: None) -> None:
    gid = begin(far_cents=-500)
    work_off()

    assert (state(gid), amounts()) == (("aborted", True), (100, 100))


def test_a_no_of_ours_undoes_what_is_prepared_over_there(ours: None) -> None:
    gid = begin(near_cents=-500)
    work_off()

    assert (state(gid), amounts()) == (("aborted", True), (100, 100))
    assert ledger.prepared("bank_b") == []


@pytest.mark.parametrize("lost", ["far.prepare", "far.finish", "bank.decide"])
def test_a_lost_message_is_sent_again_with_all_it_needs(ours: None, lost: str) -> None:
    gid = begin()
    if lost != "far.prepare":
        with their_project():
            assert [worker.prepare(**kwargs) for kwargs in taken("far.prepare")] == ["reported"]
    if lost == "far.finish":
        for kwargs in taken("bank.decide"):
            tasks.vote(**kwargs)
    assert taken(lost)
    sweep()
    work_off()

    assert (state(gid), amounts()) == (("committed", True), (90, 110))
    assert ledger.prepared("bank_b") == []


def test_without_remote_votes_the_other_project_does_nothing(ours: None) -> None:
    begin()
    with their_project():
        transactions = django_settings.COORDINATION["TRANSACTIONS"] | {"REMOTE_VOTES": False}
        changed = django_settings.COORDINATION | {"TRANSACTIONS": transactions}
        with override_settings(COORDINATION=changed):
            words = [worker.prepare(**kwargs) for kwargs in taken("far.prepare")]

    assert words == ["refused"]
    assert (amounts(), ledger.prepared("bank_b")) == ((100, 100), [])
