"""The two tables of counters."""

import statistics
from typing import Any, ClassVar

from bench.chunks import Series
from bench.columns import Columns
from bench.counters.rush import Turn


class Free(Columns):
    """One process."""

    columns: ClassVar = {
        "speed": ("x INCR", ".3f"),
        "low": ("q1", ".3f"),
        "high": ("q3", ".3f"),
        "us": ("us/add", ",.1f"),
        "p50_us": ("p50 us", ",.0f"),
        "p99_us": ("p99 us", ",.0f"),
        "cpu_us": ("CPU us", ",.1f"),
        "operations": ("adds", ",d"),
        "violations": ("violated", "d"),
    }

    def _row(self, series: Series) -> dict[str, Any]:
        low, high = self.spread(series.name) or (None, None)
        return {
            "case": series.name,
            "speed": self.speed(series.name),
            "low": low,
            "high": high,
            "us": series.per_operation_us,
            "p50_us": series.percentile_us(50),
            "p99_us": series.percentile_us(99),
            "cpu_us": series.cpu_us,
            "operations": series.operations,
            "violations": series.violations,
            "cycles": len(series.chunks),
        }


class Contended(Free):
    """One counter that many processes want."""

    columns: ClassVar = Free.columns | {"fairness": ("Jain", ".3f")}

    def _row(self, series: Series) -> dict[str, Any]:
        turns = [chunk for chunk in series.chunks if isinstance(chunk, Turn)]
        fairness = statistics.median(turn.fairness for turn in turns)
        # Slots leave a class without the cell that super() looks into.
        return Free._row(self, series) | {"fairness": fairness}
