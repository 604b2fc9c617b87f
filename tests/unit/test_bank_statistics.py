"""What a load reports: quantiles and differences of its counts."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.bank.latencies import Latencies
from examples.bank.money import in_units
from examples.bank.statistics import Result, Statistics


def latencies_of(*durations_ms: float) -> Latencies:
    latencies = Latencies()
    for duration_ms in durations_ms:
        latencies.add(duration_ms)
    return latencies


def statistics_of(seconds: float, committed: int, aborted: int, *durations_ms: float) -> Statistics:
    return Statistics(
        seconds=seconds,
        results=Counter({Result.COMMITTED: committed, Result.ABORTED: aborted}),
        reasons=Counter({"insufficient funds": aborted}),
        missed=0,
        latencies=latencies_of(*durations_ms),
    )


@given(st.lists(st.floats(min_value=0.1, max_value=100_000), min_size=1))
def test_a_quantile_is_at_most_a_bucket_too_high_and_never_too_low(durations_ms):
    exact = sorted(durations_ms)[(len(durations_ms) + 1) // 2 - 1]

    assert exact * 0.99 - 0.1 <= latencies_of(*durations_ms).quantile_ms(0.5) <= exact * 1.06 + 0.1


def test_no_latencies_have_no_quantile():
    assert latencies_of().quantile_ms(0.5) is None


def test_a_window_holds_only_what_came_after_it_began():
    earlier = statistics_of(5, 10, 2, *[100] * 12)
    now = statistics_of(10, 30, 3, *[100] * 12, *[10] * 21)

    window = now.since(earlier)

    assert window.as_dict() == {
        "seconds": 5,
        "per_second": 4.2,
        "committed": 20,
        "aborted": 1,
        "submitted": 0,
        "unknown": 0,
        "unavailable": 0,
        "failed": 0,
        "missed": 0,
        "reasons": {"insufficient funds": 1},
        "p50_ms": pytest.approx(10, rel=0.05),
        "p99_ms": pytest.approx(10, rel=0.05),
    }


def test_a_line_names_zero_unknown_outcomes_but_no_other_absent_trouble():
    assert "20 committed, 1 aborted, 0 unknown  p50" in statistics_of(5, 20, 1, 10.0).as_line()


@pytest.mark.parametrize(
    ("cents", "shown"), [(0, "0.00"), (-5, "-0.05"), (123456789, "1,234,567.89"), (-100, "-1.00")]
)
def test_money_is_shown_in_units(cents, shown):
    assert in_units(cents) == shown
