"""What lies in the queues of the real broker, read from the Redis lists Celery puts it in."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis
from django.conf import settings


@dataclass(frozen=True, slots=True)
class Message:
    """One message of Celery's protocol 2."""

    task: str
    id: str
    args: list[Any]
    kwargs: dict[str, Any]


@contextmanager
def queues() -> Iterator["redis.Redis"]:
    """A client of the broker's database."""
    with redis.Redis.from_url(settings.CELERY_BROKER_URL) as client:
        yield client


def messages(queue: str) -> list[Message]:
    """The messages waiting in a queue, oldest first."""
    with queues() as client:
        return [_message(json.loads(raw)) for raw in reversed(client.lrange(queue, 0, -1))]


def clear() -> None:
    """Throw away every message."""
    with queues() as client:
        client.flushdb()


def _message(envelope: dict[str, Any]) -> Message:
    args, kwargs, _ = json.loads(base64.b64decode(envelope["body"]))
    headers = envelope["headers"]
    return Message(task=headers["task"], id=headers["id"], args=args, kwargs=kwargs)
