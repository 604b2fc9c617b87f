"""Tables and goals, as text or as data."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import fill
from typing import Any, Protocol

from bench.chunks import Series
from bench.columns import Columns
from bench.costs import Cost

WIDTH = 117


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure to be reached, beside the one that was. None: it could not be measured."""

    what: str
    reach: float
    got: float | None
    at_most: bool = False
    """Whether less is better."""
    spread: tuple[float, float] | None = None
    """The quartiles of what was got, where it is a median."""

    @property
    def reached(self) -> bool:
        if self.got is None:
            return False
        return self.got <= self.reach if self.at_most else self.got >= self.reach

    @property
    def _width(self) -> int:
        return 6 if self.spread is None else 18

    @property
    def line(self) -> str:
        got = "-" if self.got is None else f"{self.got:.2f}"
        if self.got is not None and self.spread is not None:
            got += f" ({self.spread[0]:.2f}-{self.spread[1]:.2f})"
        verb = "below" if self.at_most else "reach"
        reached = "yes" if self.reached else "no"
        return f"  {verb} {self.reach:<5g} got {got:<{self._width}} {reached:<4} {self.what}"


def against(table: Columns, what: str, reach: float, name: str, other: str) -> Goal:
    """How many times faster than another case of the table one is to be."""
    if name not in table.series or other not in table.series:
        return Goal(what, reach, None)
    own, base = table.series[name], table.series[other]
    return Goal(what, reach, own.speed_against(base), spread=own.spread_against(base))


@dataclass(slots=True, kw_only=True)
class Table:
    """Cases that were interleaved; speeds are against the case named `base`."""

    title: str
    base: str
    series: Mapping[str, Series]
    costs: dict[str, Cost]

    def speed(self, name: str) -> float:
        """How many times faster than the base a case is."""
        return self.series[name].speed_against(self.series[self.base])

    def rows(self) -> list[dict[str, Any]]:
        """One a case, durations in microseconds."""
        return [self._row(each) for each in self.series.values()]

    def _row(self, series: Series) -> dict[str, Any]:
        cost = self.costs.get(series.name)
        return {
            "case": series.name,
            "speed": self.speed(series.name),
            "us": series.per_operation_us,
            "p50_us": series.percentile_us(50),
            "p99_us": series.percentile_us(99),
            "cpu_us": series.cpu_us,
            "per_second": 1e6 / series.per_operation_us,
            "operations": series.operations,
            "cycles": len(series.chunks),
            "commits": cost and cost.commits,
            "fsyncs": cost and cost.flushes,
            "messages": cost and cost.messages,
        }

    def as_text(self) -> str:
        head = (
            f"{'case':<36}{'x raw':>8}{'us/op':>10}{'op/s':>8}{'p50 us':>10}{'p99 us':>10}"
            f"{'CPU us':>8}{'commits':>9}{'fsyncs':>8}{'messages':>10}"
        )
        return "\n".join([self.title, head, *(_line(row) for row in self.rows())])


class Rows(Protocol):
    """Any table of a report."""

    title: str

    def rows(self) -> list[dict[str, Any]]:
        """One a case."""

    def as_text(self) -> str:
        """As it is printed."""


@dataclass(slots=True, kw_only=True)
class Report:
    """What one part of the bench found."""

    notes: str
    surroundings: str = ""
    """Machine and versions."""
    tables: Sequence[Rows]
    goals: Sequence[Goal]
    failures: Sequence[str] = ()
    load: tuple[float, float] = field(default=(0.0, 0.0))

    def as_text(self) -> str:
        load = (
            f"load average {self.load[0]:.1f} before, {self.load[1]:.1f} after, "
            f"{os.cpu_count()} cores"
        )
        head = [fill(self.notes, WIDTH), *map(_filled, self.surroundings.splitlines()), load]
        blocks = ["\n".join(head), *(table.as_text() for table in self.tables)]
        blocks.append("\n".join(["goals", *(goal.line for goal in self.goals)]))
        if self.failures:
            blocks.append("\n".join(["not measured", *(f"  {line}" for line in self.failures)]))
        return "\n\n".join(blocks)

    def as_json(self) -> dict[str, Any]:
        goals = [
            {"what": goal.what, "reach": goal.reach, "got": goal.got, "reached": goal.reached}
            for goal in self.goals
        ]
        tables = [{"title": table.title, "cases": table.rows()} for table in self.tables]
        return {
            "notes": self.notes,
            "surroundings": self.surroundings,
            "load": list(self.load),
            "tables": tables,
            "goals": goals,
            "failures": list(self.failures),
        }


def _filled(line: str) -> str:
    return fill(line, WIDTH)


def _line(row: Mapping[str, Any]) -> str:
    return (
        f"{row['case']:<36}{row['speed']:>8.3f}{row['us']:>10,.0f}{row['per_second']:>8,.0f}"
        f"{row['p50_us']:>10,.0f}{row['p99_us']:>10,.0f}{row['cpu_us']:>8,.0f}"
        f"{_count(row['commits']):>9}{_count(row['fsyncs']):>8}{_count(row['messages']):>10}"
    )


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
