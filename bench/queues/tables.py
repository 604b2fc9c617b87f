"""The tables of queues."""

from typing import Any, ClassVar

from bench.chunks import Series
from bench.columns import Columns


class Throughput(Columns):
    """As fast as they can; figures are of one message."""

    columns: ClassVar = {
        "speed": ("x base", ".3f"),
        "low": ("q1", ".3f"),
        "high": ("q3", ".3f"),
        "us": ("us/msg", ",.0f"),
        "per_second": ("msg/s", ",.0f"),
        "cpu_us": ("CPU us", ",.0f"),
        "operations": ("messages", ",d"),
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
            "per_second": 1e6 / series.per_operation_us,
            "cpu_us": series.cpu_us,
            "operations": series.operations,
            "violations": series.violations,
            "cycles": len(series.chunks),
        }


class Latency(Columns):
    """One message each 10 ms."""

    columns: ClassVar = {
        "p50_ms": ("p50 ms", ",.2f"),
        "p99_ms": ("p99 ms", ",.2f"),
        "max_ms": ("max ms", ",.1f"),
        "cpu_us": ("CPU us", ",.0f"),
        "operations": ("messages", ",d"),
        "violations": ("violated", "d"),
    }

    def _row(self, series: Series) -> dict[str, Any]:
        return {
            "case": series.name,
            "p50_ms": series.percentile_us(50) / 1e3,
            "p99_ms": series.percentile_us(99) / 1e3,
            "max_ms": series.percentile_us(100) / 1e3,
            "cpu_us": series.cpu_us,
            "operations": series.operations,
            "violations": series.violations,
            "cycles": len(series.chunks),
        }
