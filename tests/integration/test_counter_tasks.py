"""Counters by Celery task, as apps that know nothing of this code ask for them."""

import json
from typing import Any

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from coordination import counter
from coordination.counters import tasks
from tests.integration.own_redis import OwnRedis, own_redis

__all__ = ["own_redis"]


@pytest.fixture(autouse=True)
def _own(own_redis: OwnRedis, settings: Settings) -> None:
    settings.COORDINATION = django_settings.COORDINATION | {
        "STORES": {"redis": {"BACKEND": "redis", "LOCATION": own_redis.url}},
    }


def refused(told: dict[str, Any], code: str, words: str) -> None:
    assert (told["ok"], told["code"], told["applied"]) == (False, code, False)
    assert words in told["message"]


def test_the_task_id_is_the_op_id_so_that_a_redelivery_counts_once() -> None:
    first, again = (
        tasks.counter_add.apply(args=("a", 5), kwargs={"initial": 1}, task_id="7f3a").get()
        for _ in range(2)
    )

    assert first == again == {"ok": True, "code": "ok", "value": 6}
    assert tasks.counter_add.apply(args=("a",), task_id="other").get()["value"] == 7
    assert tasks.counter_get.apply(args=("a",)).get() == {
        "ok": True,
        "code": "ok",
        "value": 7,
        "version": 2,
    }


def test_a_redelivered_compare_and_set_is_told_what_it_was_told_first() -> None:
    for _ in range(2):
        told = tasks.counter_compare_and_set.apply(args=("a", 0, 5), task_id="cas").get()
        assert told == {"ok": True, "code": "ok", "written": True}
    missed = tasks.counter_compare_and_set.apply(args=("a", 0, 5), task_id="next").get()
    assert (missed["ok"], missed["written"]) == (True, False)
    assert counter("a").read() == (5, 1)


def test_refusals_are_answers_that_json_carries() -> None:
    told = tasks.counter_add("a", -1, op_id="x", minimum=0)
    assert json.loads(json.dumps(told)) == told
    refused(told, "bound_exceeded", "Nothing was written")
    refused(tasks.counter_add("a", 1.5, op_id="y"), "invalid_argument", "must be an int")
    refused(tasks.counter_add("a", 1), "invalid_argument", "op_id")
    refused(tasks.counter_add("a b", 1, op_id="z"), "invalid_name", "space")
    refused(tasks.counter_add("a", 1, op_id="z", timeout=5), "invalid_argument", "'timeout'")
    refused(tasks.counter_add("a", 1, op_id="z", using="no"), "invalid_argument", "no")
    refused(
        tasks.counter_compare_and_set("a", 0, 1, op_id="z", shards=2),
        "not_supported_by_store",
        "shards",
    )
    assert counter("a").read() == (0, 0)


def test_an_op_id_of_another_change_is_refused() -> None:
    tasks.counter_add("a", 1, op_id="x")

    refused(tasks.counter_add("a", 2, op_id="x"), "invalid_argument", "used before")
    assert tasks.counter_get("a", shards=2) == {"ok": True, "code": "ok", "value": 1}


def test_a_store_that_is_gone_is_an_answer(own_redis: OwnRedis) -> None:
    own_redis.kill()
    try:
        told = tasks.counter_add("a", 1, op_id="x")
    finally:
        own_redis.start()

    refused(told, "store_unavailable", "not sent")
    assert tasks.counter_add("a", 1, op_id="x")["value"] == 1
