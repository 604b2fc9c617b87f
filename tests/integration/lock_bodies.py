"""Tasks that continuations start; each tells what it does in a list in Redis."""

import os
import threading
import time
from typing import Any

from celery import shared_task
from redis import Redis

TOLD = "test:told"


def redis() -> "Redis[str]":
    return Redis.from_url(os.environ["REDIS_URL"], decode_responses=True)


def told() -> list[list[str]]:
    """Who began and ended, with the token, in order."""
    with redis() as client:
        return [line.split() for line in client.lrange(TOLD, 0, -1)]


def tell(*words: object) -> None:
    with redis() as client:
        client.rpush(TOLD, " ".join(map(str, words)))


@shared_task(name="test.body", bind=True, ignore_result=True)
def body(self: Any, who: str, seconds: float = 0) -> None:
    tell("begin", who, self.request.headers["concord_token"])
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        threading.Event().wait(0.02)
    tell("end", who, self.request.headers["concord_token"])


@shared_task(name="test.failing", ignore_result=True)
def failing() -> None:
    tell("begin", "failing", 0)
    raise ValueError("as planned")


@shared_task(name="test.late", ignore_result=True)
def late(who: str) -> None:
    tell("late", who)
