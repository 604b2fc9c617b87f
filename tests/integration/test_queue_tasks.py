"""Queues by Celery task, as apps that know nothing of this code ask for them."""

import json
from typing import Any

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from coordination import queue
from coordination.queues import tasks
from tests.contract.queues.taking import balanced
from tests.integration.own_redis import OwnRedis, own_redis

__all__ = ["own_redis"]


@pytest.fixture(autouse=True)
def _own(own_redis: OwnRedis, settings: Settings) -> None:
    settings.COORDINATION = django_settings.COORDINATION | {
        "STORES": {
            "redis": {"BACKEND": "redis", "LOCATION": own_redis.url},
            "zookeeper": {"BACKEND": "zookeeper", "LOCATION": "nowhere:1"},
        },
    }


def refused(told: dict[str, Any], code: str, words: str) -> None:
    assert (told["ok"], told["code"], told["applied"]) == (False, code, False)
    assert words in told["message"]


def test_a_message_is_published_taken_and_acked() -> None:
    sent = tasks.publish("a", {"n": 1}, op_id="1", headers={"h": 1}, priority=2)
    assert sent["ok"]
    told = tasks.reserve("a", op_id="2", batch=5)
    assert json.loads(json.dumps(told)) == told
    (message,) = told["messages"]
    assert (message["id"], message["body"], message["attempts"]) == (sent["id"], {"n": 1}, 1)
    assert message["headers"] == {"h": 1}
    assert tasks.ack("a", [message["receipt"]], op_id="3") == {
        "ok": True,
        "code": "ok",
        "settled": 1,
    }
    balanced(queue("a"))


def test_a_task_delivered_twice_does_it_once() -> None:
    first, again = (tasks.publish("a", "x", op_id="1") for _ in range(2))
    assert first == again
    taken = [tasks.reserve("a", op_id="2") for _ in range(2)]
    assert taken[0] == taken[1]
    (message,) = taken[0]["messages"]
    acks = [tasks.ack("a", [message["receipt"]], op_id="3") for _ in range(2)]
    assert acks[0] == acks[1]
    assert acks[0]["ok"]
    refused(tasks.ack("a", [message["receipt"]], op_id="4"), "stale_receipt", "stale")
    assert tasks.publish("a", "x", op_id="1") == first
    assert queue("a").stats().held == 0
    balanced(queue("a"))


def test_a_failed_attempt_comes_again_or_dies() -> None:
    tasks.publish("a", "x", op_id="1", eta="2020-01-01T00:00:00+00:00")
    (message,) = tasks.reserve("a", op_id="2")["messages"]
    assert tasks.nack("a", message["receipt"], op_id="3", delay=0, error="later")["ok"]
    (again,) = tasks.reserve("a", op_id="4")["messages"]
    assert again["attempts"] == 2
    assert tasks.nack("a", [again["receipt"]], op_id="5", reject=True)["ok"]
    assert queue("a").stats().dead == 1
    balanced(queue("a"))


def test_bad_input_is_answered() -> None:
    refused(tasks.publish("two words", "x", op_id="1"), "invalid_name", "space")
    refused(tasks.publish("a", "x", op_id="1", eta="soon"), "invalid_argument", "ISO 8601")
    refused(tasks.publish("a", "x", op_id="1", ttl=5), "invalid_argument", "ttl")
    refused(tasks.reserve("a", op_id="1", batch=0), "invalid_argument", "batch")
    refused(tasks.reserve("a", op_id="1", wait=5), "invalid_argument", "'wait'")
    refused(tasks.ack("a", ["x"], op_id="1", delay=5), "invalid_argument", "'delay'")
    refused(tasks.nack("a", ["x"], op_id="1", wait=5), "invalid_argument", "'wait'")
    refused(tasks.ack("a", ["nonsense"], op_id="1"), "invalid_argument", "receipt")
    refused(tasks.ack("a", {"x": 1}, op_id="1"), "invalid_argument", "list of str")  # type: ignore[arg-type]
    zookeeper = tasks.reserve("a", op_id="1", using="zookeeper")
    refused(zookeeper, "not_supported_by_store", "no queues")
