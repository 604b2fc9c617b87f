"""Celery tasks of queues, by stable names. JSON in, JSON out; each is safe to run twice."""

from typing import Any

from celery import shared_task

from coordination.answers import DURABLE, answered
from coordination.queues import requests


@shared_task(name="coordination.queue.publish", bind=True, ignore_result=False, **DURABLE)
def publish(self: Any, name: str, body: Any, **options: Any) -> dict[str, Any]:
    """Put a message into a queue; answers its `id`.

    Options: headers, priority, delay, eta (ISO 8601), group, dedup_id, expires, using; op_id
    (default: the task id; the same one publishes once).
    """
    options.setdefault("op_id", self.request.id)
    return answered(requests.publish, name, body, **options)


@shared_task(name="coordination.queue.reserve", bind=True, ignore_result=False, **DURABLE)
def reserve(self: Any, name: str, **options: Any) -> dict[str, Any]:
    """Take up to `batch` messages that are there; none of them is kept longer than its visibility.

    Options: batch, using; op_id (default: the task id; the same one takes the same messages).
    """
    options.setdefault("op_id", self.request.id)
    return answered(requests.reserve, name, **options)


@shared_task(name="coordination.queue.ack", bind=True, ignore_result=False, **DURABLE)
def ack(self: Any, name: str, receipts: list[str], **options: Any) -> dict[str, Any]:
    """They are done: the `receipts` that reserve answered. Options: using, op_id."""
    options.setdefault("op_id", self.request.id)
    return answered(requests.ack, name, receipts, **options)


@shared_task(name="coordination.queue.nack", bind=True, ignore_result=False, **DURABLE)
def nack(self: Any, name: str, receipts: list[str], **options: Any) -> dict[str, Any]:
    """These attempts failed. Options: delay, error, reject (no attempt will help), using, op_id."""
    options.setdefault("op_id", self.request.id)
    return answered(requests.nack, name, receipts, **options)
