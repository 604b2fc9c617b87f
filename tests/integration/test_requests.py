"""Transactions by Celery task, as apps that know nothing of this code ask for them."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery import signature
from django.conf import settings as django_settings
from pytest_django import Settings

from coordination.transactions import tasks
from coordination.transactions.tables import Transaction
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import broker, ledger

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

MOVE = [
    {"participant": "test.a.add", "args": {"cents": -10}},
    {"participant": "test.b.add", "args": {"cents": 10}},
]
DEPOSIT = {"participant": "bank.a.deposit", "args": {"account": 2, "cents": 1}}
THEN = {"task": "test.allowed", "options": {"queue": "test.then"}}


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None, settings: Settings) -> Iterator[None]:
    broker.clear()
    configure(settings, CONTINUATIONS=["test.allowed"])
    with ledger.ledgers():
        yield


def configure(settings: Settings, **changes: Any) -> None:
    settings.COORDINATION = django_settings.COORDINATION | changes


def begin(*branches: Any, **options: Any) -> dict[str, Any]:
    told: dict[str, Any] = tasks.begin("by-task", list(branches) or MOVE, **options)
    return told


def refused(told: dict[str, Any], words: str) -> None:
    assert (told["ok"], told["code"], told["applied"]) == (False, "invalid_argument", False)
    assert words in told["message"]


def test_the_same_op_id_begins_once() -> None:
    told = [begin(op_id="delivered-twice") for _ in range(2)]

    assert told[0] == told[1] == {"ok": True, "code": "ok", "gid": told[0]["gid"]}
    assert Transaction.objects.get().outcome == "committed"
    assert (ledger.amount("bank_a"), ledger.amount("bank_b")) == (90, 110)


def test_a_redelivered_message_begins_once_by_its_own_id() -> None:
    told = [tasks.begin.apply(("by-task", MOVE), task_id="the-message").get() for _ in range(2)]

    assert told[0]["gid"] == told[1]["gid"]
    assert Transaction.objects.count() == 1


def test_other_op_ids_and_keys_are_other_transactions() -> None:
    gids = {begin(**which)["gid"] for which in ({"op_id": "1"}, {"op_id": "2"}, {"key": "k"})}

    assert len(gids) == 3


def test_the_same_op_id_with_other_work_is_refused() -> None:
    begin(op_id="once")
    refused(begin(DEPOSIT, op_id="once"), "other branches or arguments")


def test_a_begun_transaction_is_told_by_status_until_it_is_applied() -> None:
    gid = begin(DEPOSIT, op_id="1")["gid"]
    waiting = tasks.status(gid)
    for message in broker.messages("bank.prepare"):
        tasks.prepare_branches(**message.kwargs)
    done = tasks.status(gid)

    assert (waiting["outcome"], waiting["applied"], waiting["unfinished"]) == (None, False, 1)
    # There is no such account, so it was voted down; what matters is that it is told.
    assert (done["outcome"], done["applied"]) == ("aborted", True)
    assert "unknown account" in done["reason"]


def test_cancel_aborts_what_is_undecided_and_tells_the_truth_about_the_rest() -> None:
    open_gid = begin(DEPOSIT, DEPOSIT | {"participant": "bank.a.withdraw"}, op_id="1")["gid"]
    done_gid = begin(op_id="2")["gid"]

    cancelled = tasks.cancel(open_gid, "not wanted")
    too_late = tasks.cancel(done_gid, "not wanted")

    assert (cancelled["outcome"], cancelled["reason"]) == ("aborted", "not wanted")
    assert (too_late["outcome"], too_late["applied"]) == ("committed", True)
    asked = [each.kwargs for each in broker.messages("bank.finish")]
    assert asked == [{"gid": open_gid, "seqs": [1, 2]}]


@pytest.mark.parametrize("gid", ["", "nonsense", "bank-00000000-0000000000000000", "a\x00b", 7, []])
def test_an_unknown_gid_is_said_to_be_unknown(gid: Any) -> None:
    for told in (tasks.status(gid), tasks.cancel(gid, "any")):
        refused(told, "never begun, or forgotten")


@pytest.mark.parametrize(
    ("branches", "words"),
    [
        ([{"participant": "test.a.add", "args": None}], "a branch is"),
        ([{"participant": "test.a.add", "args": [1]}], "a branch is"),
        ([{"participant": "test.a.add", "arguments": {}}], "a branch is"),
        (["test.a.add"], "a branch is"),
    ],
)
def test_branches_that_make_no_sense_are_refused(branches: list[Any], words: str) -> None:
    refused(begin(*branches, op_id="1"), words)
    assert not Transaction.objects.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"op_id": None}, "op_id is needed"),
        ({"op_id": ""}, "op_id is needed"),
        ({"key": ""}, "key must be"),
        ({"op_id": "1", "wait": True}, "never waits"),
        ({"op_id": "1", "timeout": 3}, "no timeout="),
        ({"op_id": "1", "deadline": 0}, "deadline must be"),
        ({"op_id": "1", "protocol": "4pc"}, "Unknown protocol"),
        ({"op_id": "1", "nonsense": 1}, "Unknown option 'nonsense'"),
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], words: str) -> None:
    refused(begin(**options), words)
    assert not Transaction.objects.exists()


def test_the_continuation_is_sent_with_the_decision() -> None:
    gid = begin(op_id="1", then=THEN)["gid"]

    (sent,) = broker.messages("test.then")
    answer = {"ok": True, "gid": gid, "code": "committed", "reason": ""}
    assert (sent.task, sent.args, sent.id) == ("test.allowed", [answer], f"{gid}-then")
    assert Transaction.objects.get(gid=gid).ended_at is not None


@pytest.mark.parametrize(
    "then",
    [
        {"task": "test.forbidden"},
        {"task": "test.allowed.not"},
        {"args": []},
        {},
        "test.allowed",
        ["test.allowed"],
        {"task": 7},
        THEN | {"subtask_type": "chain", "kwargs": {"tasks": [{"task": "test.forbidden"}]}},
        THEN | {"options": {"link": [{"task": "test.forbidden"}]}},
        THEN | {"options": {"link_error": [{"task": "test.forbidden"}]}},
        THEN | {"options": {"chord": {"task": "test.forbidden"}}},
        dict(signature("test.allowed") | signature("test.forbidden")),
    ],
    ids=str,
)
def test_a_continuation_starts_nothing_that_is_not_allowed(then: Any) -> None:
    refused(begin(op_id="1", then=then), "then")
    assert not Transaction.objects.exists()


def test_a_signature_made_by_celery_is_taken_as_it_is() -> None:
    made = dict(signature("test.allowed", args=(1,), kwargs={"a": 2}, queue="test.then"))

    assert begin(op_id="1", then=made)["ok"]
    (sent,) = broker.messages("test.then")
    assert (sent.args[1:], sent.kwargs) == ([1], {"a": 2})
