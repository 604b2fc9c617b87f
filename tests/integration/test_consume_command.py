"""``manage.py concord consume``: a process that works on a queue until it is told to stop."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from coordination import queue
from tests.contract.queues.taking import balanced, until
from tests.integration.concord_command import ROOT, manage
from tests.integration.own_redis import OwnRedis, own_redis
from tests.integration.queue_bodies import LOG

__all__ = ["own_redis"]


@pytest.fixture(autouse=True)
def _own(own_redis: OwnRedis, settings: Settings) -> None:
    stores = {"redis": {"BACKEND": "redis", "LOCATION": own_redis.url.replace("/0", "/1")}}
    settings.COORDINATION = django_settings.COORDINATION | {"STORES": stores}


@contextmanager
def consumer(own: OwnRedis, log: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "manage.py", "concord", "consume", "a", *arguments],
        cwd=ROOT,
        env=dict(os.environ) | {"REDIS_URL": own.url, LOG: str(log)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_it_completes_what_it_has_begun_when_it_is_told_to_stop(
    own_redis: OwnRedis, tmp_path: Path
) -> None:
    q, log = queue("a"), tmp_path / "log"
    log.touch()
    q.publish_many(range(8))
    handler = "tests.integration.queue_bodies.slow"
    with consumer(own_redis, log, "--handler", handler, "--concurrency", "2") as process:
        until(lambda: "begun" in log.read_text())
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0, errors
    lines = log.read_text().split("\n")
    begun = {line.split()[1] for line in lines if line.startswith("begun")}
    done = {line.split()[1] for line in lines if line.startswith("done")}
    assert begun == done
    assert len(begun) < 8
    stats = q.stats()
    assert (stats.in_flight, stats.ready) == (0, 8 - len(done))
    balanced(q)


def test_what_cannot_run_is_told_at_once() -> None:
    for arguments, word in (
        (["a", "--handler", "no.such.thing"], "no.such.thing"),
        (["a", "--handler", "coordination.queues.types.KEPT_MS"], "no function"),
        (["a b", "--handler", "builtins.print"], "space"),
        (["a", "--handler", "builtins.print", "--concurrency", "0"], "from 1 to 1000"),
    ):
        told = manage("concord", "consume", *arguments)
        assert told.returncode != 0
        assert word in told.stderr, told.stderr
