"""Celery tasks of counters, by stable names. JSON in, JSON out; each is safe to run twice."""

from typing import Any

from celery import shared_task

from coordination.answers import DURABLE, answered
from coordination.counters import requests


@shared_task(name="coordination.counter.add", bind=True, ignore_result=False, **DURABLE)
def counter_add(self: Any, name: str, amount: Any = 1, **options: Any) -> dict[str, Any]:
    """Add to a counter; answers the new `value`.

    Options: initial, minimum, maximum, shards, using; op_id (default: the task id; the same one
    adds once).
    """
    options.setdefault("op_id", self.request.id)
    return answered(requests.add, name, amount, **options)


@shared_task(name="coordination.counter.get", ignore_result=False, **DURABLE)
def counter_get(name: str, **options: Any) -> dict[str, Any]:
    """The `value` of a counter and its `version`. Options: as for add, but op_id."""
    return answered(requests.get, name, **options)


@shared_task(name="coordination.counter.compare_and_set", bind=True, ignore_result=False, **DURABLE)
def counter_compare_and_set(
    self: Any, name: str, expected: Any, new: Any, **options: Any
) -> dict[str, Any]:
    """Write `new` if the value is `expected`; answers whether it was `written`. Options: as add."""
    options.setdefault("op_id", self.request.id)
    return answered(requests.compare_and_set, name, expected, new, **options)
