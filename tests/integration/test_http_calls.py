"""Participants of this project that another service calls by HTTP."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connections
from django.test import Client, override_settings

from coordination import TCC, participant
from coordination.kernel.http_signatures import SIGNATURE, Request, is_answer
from coordination.transactions.context import Context
from coordination.transactions.tables import Barrier, Witness
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import broker, ledger

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=ALIASES),
    pytest.mark.urls("tests.integration.http_urls"),
]

ADDRESS = "/concord/branches/"
SECRET, OTHER = "s" * 32, "t" * 32
GID = "shop-00000001-0000000000000001"
CALLERS = {
    "shop": {"KEYS": {"2026": SECRET, "2027": OTHER}, "PARTICIPANTS": ["test.*"]},
    "third": {"KEYS": {"2026": "u" * 32}, "PARTICIPANTS": ["test.*"]},
    "guest": {"KEYS": {"2026": "v" * 32}, "PARTICIPANTS": ["nothing.*"]},
}


@participant("test.http.told", using="bank_b")
def told(ctx: Context, cents: int) -> None:
    from celery import signature

    ledger.add(ctx, using="bank_b", cents=cents)
    ctx.after_commit(signature("test.http.after", queue="test.http"))


@participant("test.http.commits", using="bank_b")
def commits(ctx: Context, cents: int) -> None:
    ledger.add(ctx, using="bank_b", cents=cents)
    ledger.execute("bank_b", "COMMIT")


class Slow(TCC):
    """Its confirm waits until the test lets it go."""

    name = "test.http.slow"
    using = "bank_b"
    begun = threading.Event()
    go = threading.Event()

    def reserve(self, ctx: Context) -> None: ...

    def confirm(self, ctx: Context) -> None:
        self.begun.set()
        self.go.wait(20)

    def cancel(self, ctx: Context) -> None: ...


@pytest.fixture(autouse=True)
def _project(transactional_db: None) -> Iterator[None]:
    broker.clear()
    changes = django_settings.COORDINATION | {"HTTP_CALLERS": CALLERS}
    with ledger.ledgers(), override_settings(COORDINATION=changes):
        yield


@dataclass(frozen=True, slots=True)
class Told:
    status: int
    body: dict[str, Any]
    headers: Any


def asked(phase: str = "prepare", **changes: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "phase": phase,
        "gid": GID,
        "branch": f"cc:{GID}:1",
        "participant": "test.b.add",
        "args": {"cents": 10},
        "remaining_ms": 5_000 if phase == "prepare" else None,
        "attempt": 1,
        **changes,
    }


def post(
    question: dict[str, Any] | bytes,
    *,
    sender: str = "shop",
    secret: str = SECRET,
    key: str = "2026",
    age_ms: int = 0,
    target: str = ADDRESS,
    headers: dict[str, str] | None = None,
) -> Told:
    body = question if isinstance(question, bytes) else json.dumps(question).encode()
    issued_ms = time.time_ns() // 1_000_000 - age_ms
    request = Request(
        method="POST",
        target=target,
        sender=sender,
        key=key,
        nonce="n" * 24,
        issued_ms=issued_ms,
        expires_ms=issued_ms + 300_000,
        body=body,
    )
    signed = request.headers(secret) | (headers or {})
    response = Client(enforce_csrf_checks=True).post(
        ADDRESS, body, content_type="application/json", headers=signed
    )
    signature = response.headers.get(SIGNATURE, "")
    right = is_answer(
        secret,
        signature,
        request=request.signature(secret),
        status=response.status_code,
        body=response.content,
    )
    assert right == (response.status_code not in (401, 413))
    return Told(response.status_code, json.loads(response.content or b"{}"), response.headers)


def test_a_prepared_branch_is_committed() -> None:
    assert (post(asked()).status, post(asked()).body) == (200, {"vote": "yes"})
    assert ledger.prepared("bank_b") == [f"cc:{GID}:1"]

    ends = [post(asked("commit")) for _ in range(2)]
    assert [end.status for end in ends] == [200, 200]
    assert (ledger.amount("bank_b"), ledger.prepared("bank_b")) == (110, [])


def test_a_prepared_branch_is_cancelled() -> None:
    post(asked())
    assert [post(asked("cancel")).status for _ in range(2)] == [200, 200]
    late = post(asked())

    assert (late.status, late.body["vote"]) == (409, "no")
    assert (ledger.amount("bank_b"), ledger.prepared("bank_b")) == (100, [])


def test_a_cancel_that_comes_first_refuses_the_prepare() -> None:
    assert post(asked("cancel")).status == 200

    assert post(asked()).status == 409
    assert ledger.prepared("bank_b") == []


@pytest.mark.parametrize(("phase", "amount"), [("commit", 90), ("cancel", 100)])
def test_a_participant_in_three_steps_is_called_the_same_way(phase: str, amount: int) -> None:
    hold = {"participant": "test.b.hold", "args": {"cents": 10}}
    assert [post(asked(**hold)).status for _ in range(2)] == [200, 200]
    assert [post(asked(phase, **hold)).status for _ in range(2)] == [200, 200]

    assert ledger.amount("bank_b") == amount


def test_a_no_gives_its_reason() -> None:
    refused = post(asked(args={"cents": -500}))

    assert (refused.status, refused.body["reason"]) == (409, "insufficient funds")


def test_a_branch_that_changed_nothing_says_so() -> None:
    assert post(asked(participant="test.a.read", args={})).body == {"vote": "read_only"}


def test_a_body_that_committed_by_itself_is_told() -> None:
    refused = post(asked(participant="test.http.commits"))

    assert (refused.status, refused.body["committed"]) == (409, True)


def test_what_was_left_for_after_the_commit_is_sent() -> None:
    post(asked(participant="test.http.told"))
    assert broker.messages("test.http") == []
    post(asked("commit", participant="test.http.told"))

    assert [message.task for message in broker.messages("test.http")] == ["test.http.after"]


def test_a_contradiction_is_told() -> None:
    other = {"branch": f"cc:{GID}:2"}
    post(asked())
    post(asked("commit"))

    assert post(asked("cancel")).status == 409
    assert post(asked("commit", **other)).status == 409


def test_a_branch_at_which_another_call_is_gets_not_yet() -> None:
    slow = {"participant": "test.http.slow", "args": {}}
    Slow.begun.clear()
    Slow.go.clear()
    assert post(asked(**slow)).status == 200
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(_in_thread, lambda: post(asked("commit", **slow)).status)
        assert Slow.begun.wait(20)
        second = post(asked("commit", **slow))
        Slow.go.set()

        assert (second.status, second.headers["Retry-After"], first.result()) == (425, "1", 200)


def _in_thread(call: Callable[[], int]) -> int:
    try:
        return call()
    finally:
        connections.close_all()


# Who may ask for what


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": "x" * 32},
        {"sender": "nobody"},
        {"sender": "third"},
        {"key": "2028"},
        {"key": "2027"},
        {"age_ms": 301_000},
        {"age_ms": -301_000},
        {"target": "/elsewhere/"},
        {"headers": {"Concord-From": ""}},
        {"headers": {"Concord-Nonce": "short"}},
        {"headers": {"Concord-Issued": "soon"}},
        {"headers": {"Concord-Expires": "9" * 15}},
        {"headers": {"Concord-Expires": "9" * 17}},
        {"headers": {"Concord-Signature": "v1=ü"}},
        {"headers": {"Concord-Signature": "v2=" + "0" * 64}},
    ],
    ids=str,
)
def test_a_call_that_is_not_signed_by_a_caller_does_nothing(changes: dict[str, Any]) -> None:
    assert post(asked(), **changes).status == 401
    assert (ledger.prepared("bank_b"), Witness.objects.using("bank_b").count()) == ([], 0)


def test_every_key_of_a_caller_is_taken() -> None:
    assert post(asked(), key="2027", secret=OTHER).status == 200


def test_a_caller_has_only_its_own_transactions() -> None:
    gid = GID.replace("shop", "third")
    foreign = {"gid": gid, "branch": f"cc:{gid}:1"}

    assert post(asked(**foreign)).status == 403
    assert ledger.prepared("bank_b") == []


@pytest.mark.parametrize(
    "name", ["test.http.unknown", "concord.counter.add", "concord.queue.publish", ""]
)
def test_what_is_not_here_is_refused_and_its_cancel_is_done(name: str) -> None:
    refused = post(asked(participant=name))
    assert (refused.status, "not registered" in refused.body["reason"]) == (409, True)

    assert post(asked("commit", participant=name)).status == 425
    assert post(asked("cancel", participant=name)).status == 200
    assert post(asked()).status == 409, "another process that knows it comes too late"


def test_what_is_not_allowed_is_refused() -> None:
    gid = GID.replace("shop", "guest")
    own = {"gid": gid, "branch": f"cc:{gid}:1"}

    assert post(asked(**own), sender="guest", secret="v" * 32).status == 409
    assert ledger.prepared("bank_b") == []


def test_a_cancel_undoes_what_a_process_that_knew_the_name_had_prepared() -> None:
    post(asked())
    assert post(asked("cancel", participant="test.http.unknown")).status == 200
    assert ledger.prepared("bank_b") == []

    hold = {"branch": f"cc:{GID}:2"}
    post(asked(participant="test.b.hold", **hold))
    unknown = post(asked("cancel", participant="test.http.unknown", **hold))
    assert unknown.status == 425, "only its own code can give back what it set aside"
    kept = Barrier.objects.using("bank_b").get(branch_gid=f"cc:{GID}:2")
    assert (kept.op, kept.reason) == ("try", "try")


def test_what_this_project_has_called_elsewhere_is_not_passed_on() -> None:
    url = {"URL": "https://far.example/", "KEYS": {"k": SECRET}}
    changes = django_settings.COORDINATION | {"HTTP_PARTICIPANTS": {"test.*": url}}
    with override_settings(COORDINATION=changes):
        assert post(asked()).status == 409


def test_without_callers_nobody_may_call() -> None:
    with override_settings(COORDINATION=django_settings.COORDINATION | {"HTTP_CALLERS": {}}):
        assert post(asked()).status == 401


# What makes no sense


@pytest.mark.parametrize(
    "question",
    [
        b"{",
        b"[]",
        b"[" * 100_000,
        b"\xff",
        asked(version=2),
        asked(phase="finish"),
        asked(phase=None),
        asked(gid="no gid"),
        asked(gid=None),
        asked(branch=f"cc:{GID}:0"),
        asked(branch=f"cc:{GID}:99999"),
        asked(branch=f"cc:{GID[:-1]}2:1"),
        asked(branch=1),
        asked(participant=["test.b.add"]),
        asked(args=[]),
        asked(args=None),
        asked(remaining_ms=None),
        asked(remaining_ms="5000"),
        asked(remaining_ms=1.5),
    ],
    ids=lambda question: repr(question)[-30:],
)
def test_a_call_that_makes_no_sense_does_nothing(question: dict[str, Any] | bytes) -> None:
    assert post(question).status == 400
    assert ledger.prepared("bank_b") == []


@pytest.mark.parametrize("remaining_ms", [0, -1])
def test_a_prepare_after_the_deadline_is_refused(remaining_ms: int) -> None:
    assert post(asked(remaining_ms=remaining_ms)).status == 409


def test_arguments_that_the_body_does_not_take_are_refused() -> None:
    assert post(asked(args={"sense": "none"})).status == 409
    assert post(asked("cancel", args={"sense": "none"})).status == 200


@pytest.mark.parametrize("body", [b"", b" " * (1024 * 1024 + 1)], ids=len)
def test_a_body_that_is_too_large_or_does_not_tell_its_length_is_not_read(body: bytes) -> None:
    assert post(body).status == 413


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_only_posts_are_taken(method: str) -> None:
    assert getattr(Client(), method)(ADDRESS).status_code == 405
