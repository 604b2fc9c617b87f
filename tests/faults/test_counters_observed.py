"""A real observer beside counters that change: killed again and again, it loses no change."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coordination import counter
from coordination.counters.records import CounterRecord
from coordination.observing.records import Verdict, Violation
from tests.contract.locks.asking import until
from tests.integration.counter_observing import covered, own
from tests.integration.own_redis import OwnRedis, own_redis

__all__ = ["own", "own_redis"]

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 3
CHANGES = 200


@contextmanager
def observer(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """`manage.py concord observe`, until it is killed."""
    running = subprocess.Popen(
        [sys.executable, "manage.py", "concord", "observe"],
        env=environment,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def known(name: str) -> int:
    """How many changes of it are recorded."""
    return sum(CounterRecord.objects.filter(name=name).values_list("changes", flat=True))


def test_an_observer_that_is_killed_loses_and_doubles_no_change(
    own: OwnRedis, process_environment: dict[str, str]
) -> None:
    redis_url = own.url.removesuffix("/1") + "/0"
    environment = process_environment | {"REDIS_URL": redis_url}
    hot, cold = counter("hot"), counter("cold", minimum=0)
    for turn in range(1, ROUNDS + 1):
        before = known("hot")
        with observer(environment):
            for _ in range(CHANGES):
                hot.add(1)
            cold.add(1)
            # Killed in the middle of its work, whatever that is just now.
            until(lambda seen=before: known("hot") > seen, within_s=60)
        hot.add_many([1] * 50)
        assert known("cold") <= turn

    with observer(environment):
        until(lambda: known("hot") == ROUNDS * (CHANGES + 50), within_s=60)
        until(
            lambda: Verdict.objects.filter(name="counter_history", state="HOLDS").exists(),
            within_s=60,
        )
    assert covered("hot") == list(range(1, ROUNDS * (CHANGES + 50) + 1))
    assert CounterRecord.objects.get(name="cold").value == ROUNDS
    assert not Violation.objects.exists()


def test_a_value_changed_aside_is_found_by_a_real_observer(
    own: OwnRedis, process_environment: dict[str, str]
) -> None:
    environment = process_environment | {"REDIS_URL": own.url.removesuffix("/1") + "/0"}
    counter("a").add(3)
    with observer(environment):
        until(lambda: Verdict.objects.filter(state="HOLDS", checked=1).exists(), within_s=60)
        (key,) = own.client().keys("*:value:a")
        own.client().set(key, "9 1")
        until(lambda: Violation.objects.filter(gid="redis a").exists(), within_s=60)
        until(
            lambda: CounterRecord.objects.filter(name="a").exclude(disputed="").exists(),
            within_s=60,
        )
    assert Violation.objects.get().sentence.startswith("its store has 9")
