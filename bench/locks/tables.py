"""The three tables of locks."""

from typing import Any, ClassVar

from bench.chunks import Series
from bench.columns import Columns
from bench.locks.contest import median


class Pairs(Columns):
    """Free locks."""

    columns: ClassVar = {
        "speed": ("x pair", ".3f"),
        "us": ("us/pair", ",.0f"),
        "p50_us": ("p50 us", ",.0f"),
        "p99_us": ("p99 us", ",.0f"),
        "cpu_us": ("CPU us", ",.0f"),
        "operations": ("pairs", ",d"),
        "cycles": ("cycles", "d"),
    }

    def _row(self, series: Series) -> dict[str, Any]:
        return {
            "case": series.name,
            "speed": self.speed(series.name),
            "us": series.per_operation_us,
            "p50_us": series.percentile_us(50),
            "p99_us": series.percentile_us(99),
            "cpu_us": series.cpu_us,
            "operations": series.operations,
            "cycles": len(series.chunks),
        }


class Contended(Columns):
    """One lock that many processes want; every figure is the median over the cycles."""

    columns: ClassVar = {
        "per_second": ("grants/s", ",.0f"),
        "wait_p50_ms": ("wait p50", ",.1f"),
        "wait_p99_ms": ("p99 ms", ",.1f"),
        "wait_max_ms": ("max ms", ",.1f"),
        "hand_off_p50_us": ("hand-off", ",.0f"),
        "hand_off_p99_us": ("p99 us", ",.0f"),
        "fairness": ("Jain", ".3f"),
        "same_again": ("same", ".2f"),
        "cpu_us": ("CPU us", ",.0f"),
        "violations": ("violated", "d"),
    }

    def _row(self, series: Series) -> dict[str, Any]:
        return {
            "case": series.name,
            "per_second": median(series, lambda each: each.per_second),
            "wait_p50_ms": median(series, lambda each: each.wait_ms(50)),
            "wait_p99_ms": median(series, lambda each: each.wait_ms(99)),
            "wait_max_ms": median(series, lambda each: each.wait_ms(100)),
            "hand_off_p50_us": median(series, lambda each: each.hand_off_us(50)),
            "hand_off_p99_us": median(series, lambda each: each.hand_off_us(99)),
            "fairness": median(series, lambda each: each.fairness),
            "same_again": median(series, lambda each: each.same_again),
            "cpu_us": median(series, lambda each: each.cpu_per_grant_us),
            "violations": series.violations,
            "cycles": len(series.chunks),
        }


class Waiters(Columns):
    """One lock that many tasks of a process want."""

    columns: ClassVar = {
        "speed": ("x redis-py", ".3f"),
        "total_ms": ("total ms", ",.0f"),
        "wait_p50_ms": ("wait p50", ",.0f"),
        "wait_p99_ms": ("p99 ms", ",.0f"),
        "cpu_us": ("CPU us", ",.0f"),
        "cycles": ("rounds", "d"),
        "violations": ("violated", "d"),
    }

    def _row(self, series: Series) -> dict[str, Any]:
        each = len(series.chunks[0].latencies)
        return {
            "case": series.name,
            "speed": self.speed(series.name),
            "total_ms": series.per_operation_us * each / 1e3,
            "wait_p50_ms": series.percentile_us(50) / 1e3,
            "wait_p99_ms": series.percentile_us(99) / 1e3,
            "cpu_us": series.cpu_us,
            "cycles": len(series.chunks),
            "violations": series.violations,
        }
