"""Eight processes that count with one counter. An agent's module: its process has no client."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bench.chunks import Case, Chunk
from bench.counters.ways import Way, by_name
from bench.crowd import Ready, together
from bench.fairness import jain

PROCESSES = 8
CHUNK_S = 0.4
PATIENCE_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn(Chunk):
    """One turn of all of them. A violation is a change that was lost or made twice."""

    done: tuple[int, ...]
    """Calls of each process."""

    @property
    def fairness(self) -> float:
        return jain(self.done)


class Rush:
    """A case: every chunk has processes and a counter of its own."""

    chunk_s = CHUNK_S

    def __init__(self, way: Way) -> None:
        self.name = way.name
        self._way = way

    def run(self, seconds: float) -> Turn:
        counter = f"bench:{secrets.token_hex(6)}"
        work = partial(_count, self._way, counter, seconds)
        told = together([work] * PROCESSES, patience_s=seconds + PATIENCE_S)
        (value,) = together([partial(_value, self._way, counter)], patience_s=PATIENCE_S)
        return judged(told, value, self._way.each)

    def repeat(self, operations: int) -> int:
        """One short chunk, however many that are."""
        return self.run(CHUNK_S / 4).operations


def cases() -> list[Case]:
    """Every way to count."""
    return [Rush(way) for way in by_name().values()]


def _count(way: Way, counter: str, seconds: float, ready: Ready) -> dict[str, Any]:
    operation = way.make(counter)
    operation()  # connected, and the scripts are loaded
    latencies: list[float] = []
    ready()
    cpu, begun = time.process_time(), time.monotonic()
    now, due = begun, begun + seconds
    while now < due:
        operation()
        before, now = now, time.monotonic()
        latencies.append(now - before)
    cpu = time.process_time() - cpu
    return {"begun": begun, "ended": now, "cpu": cpu, "latencies": latencies}


def _value(way: Way, counter: str, ready: Ready) -> int:
    return way.value(counter)


def judged(told: Sequence[dict[str, Any]], value: int, each: int) -> Turn:
    """A turn from what each of them saw, and from what the counter says in the end."""
    done = tuple(len(own["latencies"]) for own in told)
    expected = (sum(done) + len(done)) * each
    return Turn(
        latencies=tuple(latency for own in told for latency in own["latencies"]),
        elapsed=max(own["ended"] for own in told) - min(own["begun"] for own in told),
        cpu=sum(own["cpu"] for own in told),
        violations=abs(value - expected),
        each=each,
        done=done,
    )
