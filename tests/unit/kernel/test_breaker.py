"""Every state the breaker can reach in bounded time, and what must be true in each."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

import pytest

from coordination.kernel.breaker import (
    FAILURES_MAX,
    PAUSE_BASE_MS,
    PAUSE_CAP_MS,
    PROBE_MS,
    Breaker,
    BreakerState,
    Sign,
    step,
)

Timed = tuple[Breaker, int]
"""A breaker, and how long ago its `until_ms` was (negative: it is still to come)."""
WAITS_MS = (0, 1, PAUSE_BASE_MS // 2, PAUSE_BASE_MS, PROBE_MS, PAUSE_CAP_MS)
PAUSES_MAX = 8


def told(breaker: Breaker, *signs: Sign, now_ms: int = 0, uniform: float = 0.5) -> Breaker:
    for sign in signs:
        breaker, _ = step(breaker, sign, now_ms=now_ms, uniform=uniform)
    return breaker


def asks(breaker: Breaker, now_ms: int) -> bool:
    return step(breaker, Sign.ASKED, now_ms=now_ms, uniform=0)[1]


OPEN = told(Breaker(), *[Sign.FAILED] * FAILURES_MAX)


def normal(breaker: Breaker, now_ms: int) -> Breaker:
    """The same with its clock set to 0 now, so that equal situations are one state."""
    if breaker.state is BreakerState.CLOSED:
        return replace(breaker, since_ms=0, until_ms=0)
    until = max(breaker.until_ms - now_ms, 0)
    return replace(breaker, since_ms=0, until_ms=until, pauses=min(breaker.pauses, PAUSES_MAX))


def reachable() -> Iterator[Breaker]:
    seen, waiting = {Breaker()}, deque([Breaker()])
    while waiting:
        breaker = waiting.popleft()
        yield breaker
        for wait_ms in WAITS_MS:
            for sign in Sign:
                for uniform in (0.0, 0.999):
                    after, _ = step(breaker, sign, now_ms=wait_ms, uniform=uniform)
                    found = normal(after, wait_ms)
                    if found not in seen:
                        seen.add(found)
                        waiting.append(found)


STATES = list(reachable())


def test_all_three_states_are_reached() -> None:
    assert {breaker.state for breaker in STATES} == set(BreakerState)
    print(f"{len(STATES)} states of the breaker")


@pytest.mark.parametrize("wait_ms", WAITS_MS)
def test_nobody_passes_before_the_pause_is_over(wait_ms: int) -> None:
    for breaker in STATES:
        waits = breaker.state is not BreakerState.CLOSED and wait_ms < breaker.until_ms
        assert asks(breaker, wait_ms) is not waits


def test_while_somebody_probes_nobody_else_passes_until_the_probe_is_given_up() -> None:
    for breaker in STATES:
        if breaker.state is BreakerState.CLOSED:
            continue
        probing, passes = step(breaker, Sign.ASKED, now_ms=breaker.until_ms, uniform=0)
        assert passes
        assert not asks(probing, breaker.until_ms + PROBE_MS - 1)
        assert asks(probing, breaker.until_ms + PROBE_MS)


def test_a_success_closes_it_wherever_it_stands() -> None:
    for breaker in STATES:
        assert told(breaker, Sign.SUCCEEDED) == Breaker()


def test_whoever_waits_long_enough_passes_and_never_longer_than_the_cap() -> None:
    for breaker in STATES:
        assert asks(breaker, max(PAUSE_CAP_MS, PROBE_MS))


def test_one_that_was_let_pass_and_did_not_try_leaves_its_place_to_the_next() -> None:
    for breaker in STATES:
        if breaker.state is BreakerState.PROBING:
            assert asks(told(breaker, Sign.LEFT, now_ms=7), 7)
        else:
            assert told(breaker, Sign.LEFT) == breaker


def test_failures_of_attempts_from_before_it_opened_do_not_prolong_the_pause() -> None:
    for breaker in STATES:
        if breaker.state is BreakerState.OPEN:
            assert told(breaker, Sign.FAILED, now_ms=5) == breaker


def test_it_opens_at_the_last_of_so_many_failures_in_a_row() -> None:
    few = told(Breaker(), *[Sign.FAILED] * (FAILURES_MAX - 1))
    again = told(few, Sign.SUCCEEDED, *[Sign.FAILED] * (FAILURES_MAX - 1))

    assert few.state is again.state is BreakerState.CLOSED
    assert told(again, Sign.FAILED).state is BreakerState.OPEN


def test_each_failed_probe_doubles_the_pause_up_to_the_cap() -> None:
    breaker, now_ms, pauses = OPEN, 0, []
    for _ in range(8):
        pauses.append(breaker.until_ms - now_ms)
        now_ms = breaker.until_ms
        breaker = told(breaker, Sign.ASKED, Sign.FAILED, now_ms=now_ms, uniform=0.999_999)

    assert pauses[:2] == [750, 2_000]
    assert pauses[-2:] == [PAUSE_CAP_MS, PAUSE_CAP_MS]
    assert breaker.since_ms == 0
