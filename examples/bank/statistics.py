"""What a load has been answered so far; pure values."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from examples.bank.latencies import Latencies


class Result(StrEnum):
    """How one offered transaction ended for its caller."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    SUBMITTED = "submitted"  # sent without waiting for the decision
    UNKNOWN = "unknown"  # sent, but the decision was not learnt in time
    UNAVAILABLE = "unavailable"  # a store did not answer, nothing was sent
    FAILED = "failed"  # anything else: a defect


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one offered transaction's caller was told; `index` is its place in the load."""

    index: int
    operation: str
    gid: str | None
    result: Result
    reason: str | None
    latency_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Counts of a load over `seconds`; latencies run from when a transaction was due.

    `missed` counts transactions never offered because every thread was busy for too long.
    """

    seconds: float
    results: Counter[Result]
    reasons: Counter[str]
    missed: int
    latencies: Latencies

    @property
    def answered(self) -> int:
        return self.results.total()

    @property
    def rate(self) -> float:
        """Answered transactions a second."""
        return self.answered / self.seconds if self.seconds > 0 else 0.0

    def since(self, earlier: "Statistics") -> "Statistics":
        """The part of these statistics that came after `earlier`."""
        return Statistics(
            seconds=self.seconds - earlier.seconds,
            results=self.results - earlier.results,
            reasons=self.reasons - earlier.reasons,
            missed=self.missed - earlier.missed,
            latencies=self.latencies.since(earlier.latencies),
        )

    def as_dict(self) -> dict[str, Any]:
        """The JSON form; every result is present, latencies are None when nothing was decided."""
        return {
            "seconds": round(self.seconds, 1),
            "per_second": round(self.rate, 1),
            **{result.value: self.results[result] for result in Result},
            "missed": self.missed,
            "reasons": dict(self.reasons.most_common()),
            "p50_ms": self.latencies.quantile_ms(0.5),
            "p99_ms": self.latencies.quantile_ms(0.99),
        }

    def as_line(self) -> str:
        """One line for a terminal."""
        counts = [
            f"{self.results[result]} {result.value}" for result in Result if self._shown(result)
        ]
        if self.missed:
            counts.append(f"{self.missed} missed")
        p50, p99 = self.latencies.quantile_ms(0.5), self.latencies.quantile_ms(0.99)
        times = "no decision" if p50 is None else f"p50 {p50} ms, p99 {p99} ms"
        return f"{self.rate:.1f}/s  {', '.join(counts)}  {times}"

    def _shown(self, result: Result) -> bool:
        always = (Result.COMMITTED, Result.ABORTED, Result.UNKNOWN)
        return result in always or self.results[result] > 0
