"""A seed is a schedule: the same on every run, in every process, traced or not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from coordination.verification.simulation.chance import Chance
from coordination.verification.simulation.events import digest, printed
from coordination.verification.simulation.faults import FaultKind
from coordination.verification.simulation.protocols import ADAPTERS, adapter
from coordination.verification.simulation.run import run
from coordination.verification.simulation.shrinking import shrunk

ROOT = Path(__file__).resolve().parents[3]
SEEDS = range(1, 201)
PINNED = [461, 824, 883, 934, 247, 4, 810, 36]
"""The first numbers of stream 2 of seed 4711: seeds are kept for years."""
PRINT_DIGESTS = """
import sys
from coordination.verification.simulation.protocols import adapter
from coordination.verification.simulation.run import run
print("\\n".join(run(adapter(sys.argv[1]), seed, tracing=True).digest for seed in range(1, 201)))
"""


def digests(protocol: str) -> list[str]:
    return [run(adapter(protocol), seed, tracing=True).digest for seed in SEEDS]


@pytest.mark.parametrize("protocol", ADAPTERS)
def test_the_same_seed_gives_the_same_trace(protocol: str) -> None:
    first = digests(protocol)

    assert digests(protocol) == first
    assert len(set(first)) > len(first) / 2, "most seeds are schedules of their own"


@pytest.mark.parametrize("protocol", ADAPTERS)
def test_what_ran_before_changes_nothing(protocol: str) -> None:
    """What was remembered of the pure functions is the same as what they would answer."""
    used = adapter(protocol)
    for seed in SEEDS:
        run(used, seed)

    assert [run(used, seed, tracing=True).digest for seed in SEEDS] == digests(protocol)


@pytest.mark.parametrize("hash_seed", ["0", "1", "random"])
@pytest.mark.parametrize("protocol", ADAPTERS)
def test_another_process_gives_the_same_trace(protocol: str, hash_seed: str) -> None:
    told = subprocess.run(
        [sys.executable, "-c", PRINT_DIGESTS, protocol],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )

    assert told.stdout.split() == digests(protocol)


@pytest.mark.parametrize("protocol", ADAPTERS)
def test_tracing_changes_nothing(protocol: str) -> None:
    for seed in SEEDS:
        bare, traced = run(adapter(protocol), seed), run(adapter(protocol), seed, tracing=True)

        assert bare.trace == ()
        assert (bare.broken, bare.struck, bare.events, bare.ended_us, bare.crashes) == (
            (traced.broken, traced.struck, traced.events, traced.ended_us, traced.crashes)
        )


def test_chance_is_the_same_for_ever() -> None:
    chance = Chance(4711, stream=2)

    assert [chance.below(1000) for _ in range(8)] == PINNED


def test_a_trace_is_printed_one_event_a_line() -> None:
    found = run(adapter("3pc-classic", kinds=(FaultKind.PARTITION,)), 166, tracing=True)

    assert len(printed(found.trace).splitlines()) == len(found.trace)
    assert digest(found.trace) == found.digest
    assert str(found).startswith(f"3pc-classic, seed 166: {found.broken}")


def test_none_of_the_faults_of_a_shrunk_run_can_be_left_out() -> None:
    chosen = adapter("3pc-classic")
    failing = next(found for seed in range(1, 5_000) if (found := run(chosen, seed)).broken)

    smallest = shrunk(chosen, failing)

    assert smallest.broken is not None
    assert len(smallest.faults) < len(failing.faults)
    for index in range(len(smallest.faults)):
        fewer = (*smallest.faults[:index], *smallest.faults[index + 1 :])
        assert run(chosen, smallest.seed, faults=fewer).broken is None
