"""What the bench says of counters and queues, from what their processes saw."""

import subprocess
import sys
from typing import Any

import pytest

from bench.chunks import Chunk, Series
from bench.columns import Columns
from bench.counters.rush import judged as judged_rush
from bench.queues.hauling import judged as judged_haul
from bench.report import against

PRODUCED: dict[str, Any] = {"asked": [1.0, 1.1, 1.2], "begun": 1.0, "ended": 1.5, "cpu": 0.1}


def consumed(*numbers: int) -> dict[str, Any]:
    """Of a consumer that took these, a second after each was asked for."""
    had = [PRODUCED["asked"][number] + 1 for number in numbers]
    return {"numbers": list(numbers), "had": had, "last": 3.0, "cpu": 0.2}


@pytest.mark.parametrize(
    ("numbers", "left", "expected"),
    [
        ((0, 1, 2), 0, (0, 0, 0)),
        ((0, 2), 0, (1, 0, 0)),
        ((0, 1, 1, 2), 0, (0, 1, 0)),
        ((0, 1, 2), 2, (0, 0, 2)),
    ],
)
def test_a_message_that_is_lost_or_doubled_or_left_is_a_violation(
    numbers: tuple[int, ...], left: int, expected: tuple[int, int, int]
) -> None:
    haul = judged_haul(PRODUCED, consumed(*numbers), mode="both", left=left)
    assert (haul.lost, haul.twice, haul.left) == expected
    assert haul.violations == sum(expected)


def test_publishing_alone_is_judged_by_the_producer() -> None:
    alone = judged_haul(PRODUCED, consumed(2, 1, 0), mode="publishing", left=0)
    both = judged_haul(PRODUCED, consumed(2, 1, 0), mode="both", left=0)
    assert (alone.elapsed, alone.cpu) == (0.5, 0.1)
    assert both.elapsed == 2.0
    assert both.operations == 3


def test_a_latency_is_from_when_its_own_message_was_due() -> None:
    haul = judged_haul(PRODUCED, consumed(2, 0, 1), mode="latency", left=0)
    assert haul.latencies == pytest.approx((1, 1, 1))


def test_a_counter_that_is_off_is_a_violation() -> None:
    told = [{"latencies": [0.1, 0.1], "begun": 1.0, "ended": 2.0, "cpu": 0.1}] * 2
    # Two calls each, and one each before the start.
    assert judged_rush(told, 6, 1).violations == 0
    assert judged_rush(told, 5, 1).violations == 1
    assert judged_rush(told, 6 * 64, 64).violations == 0
    assert judged_rush(told, 6 * 64, 64).operations == 4 * 64


def test_a_goal_is_the_median_of_ratios_within_a_cycle_and_has_their_quartiles() -> None:
    def series(name: str, *elapsed: float) -> Series:
        chunks = [Chunk(latencies=(each,), elapsed=each, cpu=0) for each in elapsed]
        return Series(name, chunks)

    own, base = series("own", 1, 2, 4, 8, 16), series("base", 2, 6, 4, 16, 64)
    table = Columns(title="", base="base", series={"own": own, "base": base})
    goal = against(table, "speed", 2, "own", "base")
    assert (goal.got, goal.spread) == (2, (2, 3))
    assert against(table, "speed", 2, "own", "nobody").got is None


CROWD = """
import os
from bench.chunks import CaseFailed
from bench.crowd import together

def work(ready):
    ready()
    return os.getpid()

def fail(ready):
    raise ValueError("no server")

def die(ready):
    os._exit(1)

assert len(set(together([work] * 3, patience_s=10))) == 3
for ill, said in ((fail, "ValueError: no server"), (die, "one of its processes died")):
    try:
        together([ill], patience_s=10)
    except CaseFailed as error:
        assert str(error) == said, error
    else:
        raise AssertionError(said)
"""


def test_whoever_fails_or_dies_among_several_is_told_of() -> None:
    subprocess.run([sys.executable, "-c", CROWD], check=True, timeout=60)


@pytest.mark.parametrize("parts", ["nothing", "counters,nothing"])
def test_a_part_that_there_is_not_is_refused_with_those_that_there_are(parts: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "bench", parts],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 2
    assert "unknown part 'nothing'; there is transactions, locks, counters, queues" in ran.stderr
