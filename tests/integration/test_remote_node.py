"""Branches of another project: its workers cannot reach our tables and act by the message."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from celery import signature
from django.conf import settings as django_settings
from django.db import connections, models
from django.test import override_settings

import coordination
from coordination import Saga, distributed_transaction, participant
from coordination.observing.records import Violation
from coordination.observing.tables import Event
from coordination.transactions import dispatch, participants, peers, sweeper, tasks
from coordination.transactions.context import Context
from coordination.transactions.records import TransactionRecord
from coordination.transactions.tables import Branch, Transaction
from coordination.transactions.types import Phase
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import broker, ledger

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

MODELS: tuple[type[models.Model], ...] = (Transaction, Branch, Event, TransactionRecord, Violation)
FUNCTIONS = Path(coordination.__file__).parent / "migrations/sql/0002_transactions.sql"
KEYS = {"2026": "s" * 32}
NO_FUNCTIONS: str = import_module(
    "coordination.migrations.0002_transaction_functions"
).DROP_COORDINATOR


@participant("test.far.add", using="bank_b")
def far_add(ctx: Context, cents: int) -> None:
    ledger.add(ctx, using="bank_b", cents=cents)
    ctx.after_commit(signature("test.far.told", queue="test.far"))


class Step(Saga):
    """A step of a saga: an amount that is changed, and changed back."""

    def action(self, ctx: Context, cents: int) -> None:
        ledger.add(ctx, using=self.using, cents=cents)

    def compensate(self, ctx: Context, cents: int) -> None:
        ledger.add(ctx, using=self.using, cents=-cents)


class FarStep(Step):
    name = "test.far.step"
    using = "bank_b"


class NearStep(Step):
    name = "test.near.step"
    using = "bank_a"


class FarShip(Saga):
    """A step over there that nothing undoes."""

    name = "test.far.ship"
    using = "bank_b"

    def action(self, ctx: Context, cents: int) -> None:
        ledger.add(ctx, using=self.using, cents=cents)


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
    """Our settings: `test.far.*` is routed to the other node, which shares a key with us."""
    changes = {"PEERS": {"far": KEYS}, "PARTICIPANTS": [("test.far.*", "far")]}
    with override_settings(COORDINATION=django_settings.COORDINATION | changes):
        yield


@contextmanager
def their_project(**peers: dict[str, str]) -> Iterator[None]:
    """Be a worker of the other node, whose peers are `peers` or else we."""
    settings = django_settings.COORDINATION
    transactions = settings["TRANSACTIONS"] | {"USING": "bank_b"}
    known = peers or {settings["NODE"]: KEYS}
    changes = {"NODE": "far", "TRANSACTIONS": transactions, "PARTICIPANTS": [], "PEERS": known}
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
            words += [tasks.prepare_branches(**kwargs) for kwargs in prepares]
            words += [tasks.finish_branches(**kwargs) for kwargs in finishes]
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


def work_off_everywhere() -> None:
    """As `work_off`, and our own workers too, for whom the steps of sagas are."""
    while (
        messages := [("prepare", kw) for kw in taken("bank.prepare")]
        + [("finish", kw) for kw in taken("bank.finish")]
        + [("far", {}) for word in work_off()]
    ):
        for phase, kwargs in messages:
            if phase == "prepare":
                tasks.prepare_branches(**kwargs)
            elif phase == "finish":
                tasks.finish_branches(**kwargs)


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
            (message,) = taken("far.prepare")
            assert tasks.prepare_branches(**message) == "reported"
    if lost == "far.finish":
        for kwargs in taken("bank.decide"):
            tasks.vote(**kwargs)
    assert taken(lost)
    sweep()
    work_off()

    assert (state(gid), amounts()) == (("committed", True), (90, 110))
    assert ledger.prepared("bank_b") == []


def test_a_message_that_comes_again_does_nothing_again(ours: None) -> None:
    gid = begin()
    prepare, finish = taken("far.prepare"), []
    with their_project():
        for kwargs in [*prepare, *prepare]:
            assert tasks.prepare_branches(**kwargs) == "reported"
    votes = taken("bank.decide")
    assert [tasks.vote(**kwargs)["ok"] for kwargs in [*votes, *votes]] == [True] * 4
    finish = taken("far.finish")
    with their_project():
        for kwargs in [*finish, *finish, *prepare]:
            tasks.finish_branches(**kwargs) if kwargs in finish else tasks.prepare_branches(
                **kwargs
            )
    work_off()

    assert (state(gid), amounts()) == (("committed", True), (90, 110))
    assert ledger.prepared("bank_b") == []


def test_a_message_for_one_task_is_refused_by_another(ours: None) -> None:
    begin()
    (message,) = taken("far.prepare")
    with their_project():
        assert tasks.finish_branches(**message) == "refused"

    refused(tasks.vote(**message), "'bank' is no key of")
    assert (amounts(), ledger.prepared("bank_b")) == ((100, 100), [])


def test_a_message_that_nobody_signed_is_refused(ours: None) -> None:
    gid = begin()
    (message,) = taken("far.prepare")
    with their_project():
        assert tasks.prepare_branches(gid=gid, seqs=[2]) == "unknown"
        for forged in (
            message["sealed"] | {"mac": "0" * 64},
            message["sealed"] | {"text": message["sealed"]["text"].replace("10", "1000")},
            {**message["sealed"], "more": "x"},
            "text",
            [],
        ):
            assert tasks.prepare_branches(sealed=forged) == "refused"

    assert (amounts(), ledger.prepared("bank_b")) == ((100, 100), [])


def test_a_peer_may_not_speak_for_another(ours: None) -> None:
    gid = begin()
    ours_too = {"third": KEYS, "far": KEYS}
    with override_settings(COORDINATION=django_settings.COORDINATION | {"PEERS": ours_too}):
        settings = django_settings.COORDINATION
        third = {"NODE": "third", "PEERS": {settings["NODE"]: KEYS, "far": KEYS}}
        with override_settings(COORDINATION=settings | third):
            dispatch.report("vote", gid=gid, seq=2, node="bank", facts={"vote": "no"})
            dispatch.send(Phase.PREPARE, gid=gid, seqs=[2], node="far", brief={"branches": []})
        (vote,) = taken("bank.decide")
        refused(tasks.vote(**vote), "is not one of node 'third'")
    with their_project(bank=KEYS, third=KEYS):
        words = [tasks.prepare_branches(**kwargs) for kwargs in taken("far.prepare")]
    assert words == ["reported", "refused"]
    assert Branch.objects.get(transaction=gid, seq=2).vote is None


def test_a_node_that_is_no_peer_is_told_where_to_look_and_nothing_else(ours: None) -> None:
    with override_settings(COORDINATION=django_settings.COORDINATION | {"PEERS": {}}):
        gid = begin()
    (message,) = taken("far.prepare")
    assert message == {"gid": gid, "seqs": [2]}
    with their_project():
        assert tasks.prepare_branches(**message) == "unknown"


def test_keys_are_changed_without_a_pause(ours: None) -> None:
    gid = begin()
    with their_project(bank={"new": "n" * 32, **KEYS}):
        (message,) = taken("far.prepare")
        assert tasks.prepare_branches(**message) == "reported"
    changed = django_settings.COORDINATION | {"PEERS": {"far": {**KEYS, "new": "n" * 32}}}
    with override_settings(COORDINATION=changed):
        assert [tasks.vote(**kwargs)["ok"] for kwargs in taken("bank.decide")] == [True]
    assert Branch.objects.get(transaction=gid, seq=2).vote == "yes"


@pytest.mark.parametrize(
    "changes",
    [
        {"gid": "no gid"},
        {"gid": "bank-00000000-0000000000000000"},
        {"gid": None},
        {"seq": 0},
        {"seq": 99_999},
        {"seq": "2"},
        {"seq": 1},
        {"kind": "guess"},
        {"kind": "result"},
        {"facts": {}},
        {"facts": {"vote": "maybe"}},
        {"facts": {"vote": "yes", "actual": "gone"}},
        {"facts": []},
        {"facts": None},
        {"kind": "result", "facts": {"actual": "committed"}},
    ],
)
def test_a_message_that_makes_no_sense_changes_nothing(ours: None, changes: dict[str, Any]) -> None:
    gid = begin()
    said = {"gid": gid, "seq": 2, "kind": "vote", "facts": {"vote": "yes"}} | changes
    with their_project():
        message = peers.sealed(dispatch.VOTE_TASK, "bank", said)

    told = tasks.vote(message)

    assert (told["ok"], told["applied"]) == (False, False)
    far = Branch.objects.get(transaction=gid, seq=2)
    assert (far.vote, far.actual) == (None, None)


@contextmanager
def strangers() -> Iterator[None]:
    """Know nothing of the code of the other project's steps."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("test.far.step", "test.far.ship"):
            patch.delitem(participants._registry, name)
        yield


def saga(*steps: tuple[str, int], pivot: int = 0, known: bool = False) -> str:
    """One that is done as far as all workers together can do it."""
    with nullcontext() if known else strangers():
        tx = distributed_transaction("export", protocol="saga", wait=False)
        for number, (name, cents) in enumerate(steps, start=1):
            tx.enlist(name, cents=cents, pivot=number == pivot)
        tx.submit()
    work_off_everywhere()
    return tx.gid


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("far_cents", [10, -500])
def test_a_step_over_there_has_its_turn_in_our_saga(
    ours: None, far_cents: int, known: bool
) -> None:
    steps = ("test.near.step", -10), ("test.far.step", far_cents), ("test.near.step", 0)

    gid = saga(*steps, known=known)

    done = far_cents > 0
    assert state(gid) == ("committed" if done else "aborted", True)
    assert amounts() == ((90, 110) if done else (100, 100))


@pytest.mark.parametrize("known", [True, False])
def test_what_is_done_over_there_is_compensated_by_messages(ours: None, known: bool) -> None:
    steps = ("test.near.step", -10), ("test.far.step", 10), ("test.near.step", -500)

    gid = saga(*steps, known=known)

    assert (state(gid), amounts()) == (("aborted", True), (100, 100))


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("pivot", [1, 2])
def test_the_pivot_and_what_lies_behind_it_may_be_over_there(
    ours: None, pivot: int, known: bool
) -> None:
    steps = ("test.near.step", -10), ("test.far.ship", 10), ("test.far.step", 0)

    gid = saga(*steps, pivot=pivot, known=known)

    assert (state(gid), amounts()) == (("committed", True), (90, 110))


def test_what_nothing_can_undo_over_there_votes_no_where_it_might_have_to_be(ours: None) -> None:
    gid = saga(("test.near.step", -10), ("test.far.ship", 10))

    assert (state(gid), amounts()) == (("aborted", True), (100, 100))
    assert "no compensate" in Transaction.objects.get(gid=gid).reason


def refused(answer: dict[str, Any], match: str) -> None:
    assert (answer["ok"], answer["code"], answer["applied"]) == (False, "bad_signature", False)
    assert match in answer["message"]
