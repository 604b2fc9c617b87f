"""Locks by Celery task, as apps that know nothing of this code ask for them."""

import json
from typing import Any

import pytest
from celery import signature
from django.conf import settings as django_settings
from pytest_django import Settings

from coordination import lock
from coordination.locks import tasks
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration.own_redis import OwnRedis, own_redis

__all__ = ["own_redis"]

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


@pytest.fixture(autouse=True)
def _own(own_redis: OwnRedis, settings: Settings) -> None:
    settings.COORDINATION = django_settings.COORDINATION | {
        "STORES": {"redis": {"BACKEND": "redis", "LOCATION": own_redis.url}},
        "CONTINUATIONS": ["test.*"],
    }


def refused(told: dict[str, Any], code: str, words: str) -> None:
    assert (told["ok"], told["code"], told["applied"]) == (False, code, False)
    assert words in told["message"]


def test_a_lock_is_taken_shown_renewed_and_given_back() -> None:
    taken = tasks.acquire("a", op_id="1", owner="billing", ttl=5, metadata={"why": "invoice"})
    assert (taken["ok"], taken["granted"], taken["owner"]) == (True, True, "billing")

    told = tasks.info("a")
    assert json.loads(json.dumps(told)) == told
    assert (told["token"], told["owner"]) == (taken["token"], "billing")
    assert told["holders"][0]["metadata"] == {"why": "invoice"}

    renewed = tasks.renew("a", grant=taken["grant"], ttl=60)
    assert renewed["token"] == taken["token"]
    assert renewed["expires_at"] > taken["expires_at"]

    assert [tasks.release("a", grant=taken["grant"])["ok"] for _ in range(2)] == [True, True]
    assert tasks.info("a")["holders"] == []


def test_the_same_op_id_takes_a_lock_once() -> None:
    first, again = (tasks.acquire("a", op_id="1") for _ in range(2))
    assert first == again
    tasks.release("a", grant=first["grant"])

    late = tasks.acquire("a", op_id="1")
    assert (late["ok"], late["granted"], late["lost"]) == (True, False, True)
    assert tasks.acquire("b", op_id="1")["granted"]


def test_a_message_delivered_twice_takes_a_lock_once() -> None:
    told = [tasks.acquire.apply(("a",), task_id="the-message").get() for _ in range(2)]
    assert told[0] == told[1]


def test_an_op_id_is_remembered_longer_than_its_lock_was_held(own_redis: OwnRedis) -> None:
    taken = tasks.acquire("a", op_id="1")
    tasks.release("a", grant=taken["grant"])

    (answer,) = own_redis.client().keys("*:answer:*")
    assert own_redis.client().pttl(answer) > 23 * 3_600_000


def test_a_renewal_never_cuts_a_lease_short() -> None:
    taken = tasks.acquire("a", op_id="1", ttl=3_600)
    assert tasks.renew("a", grant=taken["grant"])["expires_at"] == taken["expires_at"]


def test_a_busy_lock_is_told_and_not_waited_for() -> None:
    with lock("a", ttl=30):
        told = tasks.acquire("a", op_id="1")
    assert (told["ok"], told["granted"]) == (True, False)
    assert 0 < told["free_in"] <= 30


def test_a_lock_may_be_taken_away() -> None:
    grant = lock("a").acquire()
    assert grant is not None
    told = tasks.force_release("a", reason="stuck", actor="m.keller")
    assert (told["ok"], told["tokens"]) == (True, [grant.token])


@pytest.mark.parametrize(
    ("call", "code", "words"),
    [
        (lambda: tasks.acquire("a b", op_id="1"), "invalid_name", "lock name"),
        (lambda: tasks.acquire("a", op_id=""), "invalid_name", "op_id '' is empty"),
        (lambda: tasks.acquire("a", op_id="\x00"), "invalid_name", "unprintable"),
        (lambda: tasks.acquire("a", op_id="1", timeout=3), "invalid_argument", "no timeout="),
        (lambda: tasks.acquire("a", op_id="1", wait=3), "invalid_argument", "need then"),
        (lambda: tasks.acquire("a", op_id="1", ttl=-1), "invalid_argument", "ttl must be more"),
        (lambda: tasks.acquire("a", op_id="1", using="x"), "invalid_argument", "store"),
        (lambda: tasks.release("a", grant="foreign"), "not_owner", "not held by grant 'foreign'"),
        (lambda: tasks.renew("a", grant="foreign"), "not_owner", "not held by grant 'foreign'"),
        (
            lambda: tasks.run_locked("a", signature("os.system", ("true",)), op_id="1"),
            "invalid_argument",
            "signature names task 'os.system'",
        ),
        (
            lambda: tasks.acquire("a", op_id="1", then={"task": "test.a", "link": [{}]}),
            "invalid_argument",
            "not 'link'",
        ),
        (
            lambda: tasks.run_locked("a", {"task": "test.a", "options": {"queue": "x"}}, op_id="1"),
            "invalid_argument",
            "takes no options",
        ),
        (
            lambda: tasks.acquire(
                "a", op_id="1", then={"task": "test.a", "options": {"countdown": "abc"}}
            ),
            "invalid_argument",
            "countdown of then must be 0 or more",
        ),
        (
            lambda: tasks.acquire("a", op_id="1", then={"task": "test.a", "args": "abc"}),
            "invalid_argument",
            "args of then are not 'abc'",
        ),
        (
            lambda: tasks.run_locked("a", {"task": "test.a"}, op_id="1", on_timeout={"task": "b"}),
            "invalid_argument",
            "on_timeout names task 'b'",
        ),
    ],
)
def test_bad_requests_are_answered_and_change_nothing(call: Any, code: str, words: str) -> None:
    refused(call(), code, words)
    assert tasks.info("a")["holders"] == []


def test_a_dead_store_is_an_answer(own_redis: OwnRedis) -> None:
    own_redis.kill()
    try:
        told = tasks.acquire("a", op_id="1")
        assert (told["ok"], told["code"]) == (False, "store_unavailable")
    finally:
        own_redis.start()
