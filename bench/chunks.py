"""Interleaved chunks: all cases take short turns in random order, and ratios stay in one cycle.

The same loop moves by a factor of two from one second to the next on a shared machine. Within one
cycle the cases see nearly the same machine, so the ratio is what is reported.
"""

import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """One turn of one case, in seconds."""

    latencies: tuple[float, ...]
    """What each operation took its caller."""
    elapsed: float
    """From the first call until everything the calls started is applied."""
    cpu: float
    """User and system time of the calling process."""
    violations: int = 0
    """How often the case did not keep what it promises."""
    each: int = 1
    """How many operations one latency is of."""

    @property
    def operations(self) -> int:
        return len(self.latencies) * self.each

    @property
    def per_operation(self) -> float:
        return self.elapsed / self.operations


class CaseFailed(Exception):
    """A case could not do its work; the message says why. The others go on without it."""


class Case(Protocol):
    """Something to measure."""

    name: str
    chunk_s: float

    def run(self, seconds: float) -> Chunk:
        """Work for about `seconds`, at least one operation. Raises CaseFailed."""

    def repeat(self, operations: int) -> int:
        """Work for at least so many operations, every thread as many; returns how many."""


@dataclass(slots=True)
class Series:
    """The chunks of one case, one a cycle."""

    name: str
    chunks: list[Chunk] = field(default_factory=list)

    @property
    def per_operation_us(self) -> float:
        return 1e6 * statistics.median(chunk.per_operation for chunk in self.chunks)

    @property
    def cpu_us(self) -> float:
        return 1e6 * statistics.median(chunk.cpu / chunk.operations for chunk in self.chunks)

    @property
    def operations(self) -> int:
        return sum(chunk.operations for chunk in self.chunks)

    @property
    def violations(self) -> int:
        return sum(chunk.violations for chunk in self.chunks)

    def percentile_us(self, percent: int) -> float:
        """Of the callers' latencies in all chunks."""
        ordered = sorted(each for chunk in self.chunks for each in chunk.latencies)
        return 1e6 * ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]

    def speed_against(self, other: "Series") -> float:
        """Median over the cycles of how many times faster than `other` this is."""
        return statistics.median(self._speeds(other))

    def spread_against(self, other: "Series") -> tuple[float, float]:
        """The lower and the upper quartile of the same."""
        low, _, high = statistics.quantiles(self._speeds(other), n=4, method="inclusive")
        return low, high

    def _speeds(self, other: "Series") -> list[float]:
        pairs = zip(self.chunks, other.chunks, strict=True)
        return [base.per_operation / own.per_operation for own, base in pairs]


WARM_UP_CYCLES, LEAST_CYCLES = 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The series of the cases that held out, by name, and why the others did not."""

    series: dict[str, Series]
    failures: list[str]


def interleave(cases: Sequence[Case], *, seconds: float, warm_up: int = WARM_UP_CYCLES) -> Measured:
    """Run cycles of one chunk a case for `seconds`; the first `warm_up` ones are not counted."""
    series = {case.name: Series(case.name) for case in cases}
    failures: list[str] = []
    due = time.monotonic() + seconds
    cycle = 0
    while cycle < warm_up + LEAST_CYCLES or time.monotonic() < due:
        for case in random.sample(cases, len(cases)):
            if case.name not in series:
                continue
            try:
                chunk = case.run(case.chunk_s)
            except CaseFailed as error:
                failures.append(f"{case.name}: {error}")
                del series[case.name]
            else:
                if cycle >= warm_up:
                    series[case.name].chunks.append(chunk)
        cycle += 1
    return Measured(series=series, failures=failures)
