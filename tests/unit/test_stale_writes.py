"""How much is told of writes that were refused: what is news, and no flood."""

from coordination.locks.stale_writes import (
    AGAIN_S,
    PAUSE_S,
    REMEMBERED_MAX,
    TOLD_S_MAX,
    Restraint,
    StaleWrite,
)


def write(number: int = 1, *, token: int = 5) -> StaleWrite:
    return StaleWrite(what=f"shop.Order {number}", token=token, newer=9)


def test_the_same_refusal_is_told_once_a_minute() -> None:
    restraint = Restraint()
    assert restraint.allows(write(), 100.0)
    assert not restraint.allows(write(), 100.0 + AGAIN_S - 1)
    assert restraint.allows(write(), 100.0 + AGAIN_S)
    assert restraint.allows(write(token=6), 100.0 + AGAIN_S)


def test_a_loop_of_refused_writes_does_not_flood() -> None:
    restraint = Restraint()
    allowed = [restraint.allows(write(number), 100.0) for number in range(1_000)]
    assert sum(allowed) == TOLD_S_MAX
    assert restraint.allows(write(2_000), 101.0)


def test_what_is_remembered_of_refusals_is_bounded() -> None:
    restraint = Restraint()
    for number in range(3 * REMEMBERED_MAX):
        restraint.allows(write(number), 100.0 + number)
    assert len(restraint._told) <= REMEMBERED_MAX


def test_after_a_failure_nobody_is_held_up_for_a_while() -> None:
    restraint = Restraint()
    assert restraint.allows(write(), 100.0)
    restraint.failed(write(), 100.2)
    assert not restraint.allows(write(2), 100.2 + PAUSE_S - 1)
    assert restraint.allows(write(), 100.2 + PAUSE_S)
