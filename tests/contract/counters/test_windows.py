"""Counting within a time, and letting only so much pass. On Redis, by its clock."""

import time

import pytest

from coordination import counter
from coordination.exceptions import InvalidArgument
from tests.contract.locks.asking import pass_time
from tests.contract.threads import at_once


def test_no_more_than_the_limit_pass_at_once(name: str) -> None:
    limit = counter.rate_limit(name, limit=10, per=3600)

    answers = at_once(*[lambda: [limit.hit() for _ in range(5)] for _ in range(6)])

    passed = [each for several in answers for each in several if each]
    assert len(passed) == 10
    assert sorted(each.remaining for each in passed) == list(range(10))
    refused = limit.hit()
    assert (bool(refused), refused.remaining) == (False, 0)
    assert 0 < refused.retry_after <= 3600


@pytest.mark.parametrize("sliding", [False, True])
def test_who_comes_again_when_he_is_told_may_pass(name: str, sliding: bool) -> None:
    limit = counter.rate_limit(name, limit=2, per=0.4, sliding=sliding)
    refused = limit.hit(2)
    while refused.allowed:  # of a fixed window that was over just then, once more
        refused = limit.hit(2)

    assert 0 < refused.retry_after <= 0.42
    pass_time(refused.retry_after)
    assert limit.hit(2)


def test_a_sliding_limit_lets_no_more_pass_in_any_time_of_its_length(name: str) -> None:
    per, most = 0.3, 5
    limit = counter.rate_limit(name, limit=most, per=per, sliding=True)
    passed: list[tuple[float, float]] = []
    until = time.monotonic() + 1.2
    while time.monotonic() < until:
        began = time.monotonic()
        if limit.hit():
            passed.append((began, time.monotonic()))

    assert len(passed) >= 2 * most
    for first, last in zip(passed, passed[most:], strict=False):
        # From before the first to after the last it took longer than the window.
        assert last[1] - first[0] > per


def test_what_does_not_pass_is_not_counted(name: str) -> None:
    limit = counter.rate_limit(name, limit=3, per=3600)
    assert limit.hit(2).remaining == 1

    refused = limit.hit(2)

    assert (refused.allowed, refused.remaining) == (False, 1)
    assert limit.hit(1)


def test_a_repeated_hit_gets_the_first_answer(name: str) -> None:
    limit = counter.rate_limit(name, limit=2, per=3600)

    first, again = limit.hit(op_id="a"), limit.hit(op_id="a")

    assert first == again
    assert limit.hit(op_id="b").allowed
    refused = limit.hit(op_id="c")
    assert not refused
    assert limit.hit(op_id="c") == refused
    assert limit.hit(op_id="a") == first
    with pytest.raises(InvalidArgument, match="used before"):
        limit.hit(2, op_id="a")


@pytest.mark.parametrize("sliding", [False, True])
def test_a_window_counts_and_forgets(name: str, sliding: bool) -> None:
    window = counter.window(name, per=0.3, sliding=sliding)

    assert window.add(5, op_id="x") == 5
    assert window.add(5, op_id="x") == 5
    pass_time(0.35)
    assert window.get() == 0
    assert window.add(2) == 2


def test_windows_of_another_length_are_apart(name: str) -> None:
    counter.window(name, per=3600).add(5)

    assert counter.window(name, per=3601).get() == 0
    assert counter.window(name, per=3600, sliding=True).get() == 0
    assert counter(name, using="redis").get() == 0


async def test_the_same_from_asyncio(name: str) -> None:
    limit = counter.rate_limit(name, limit=1, per=3600)

    assert (await limit.ahit()).allowed
    assert not await limit.ahit()
    assert await counter.window(name, per=3600).aadd(3) >= 3
    assert await counter.window(name, per=3600).aget() >= 3
