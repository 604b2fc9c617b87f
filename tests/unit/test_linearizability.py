"""The checker of lock histories: it takes what could have happened and nothing else."""

from itertools import permutations
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordination.verification.linearizability import (
    Call,
    Linearizable,
    NotLinearizable,
    Undecided,
    check,
)
from coordination.verification.lock_model import LockModel, with_expiries


def call(
    what: str,
    token: int | None,
    began: float,
    ended: float = inf,
    *,
    answer: str = "ok",
    process: str = "p",
) -> Call:
    return Call(process=process, what=what, token=token, answer=answer, began=began, ended=ended)


def test_one_after_the_other_is_linearizable() -> None:
    history = [
        call("acquire", 1, 0, 1),
        call("write", 1, 1, 2),
        call("release", 1, 2, 3),
        call("acquire", 2, 4, 5),
        call("release", 2, 6, 7),
    ]
    assert check(history, LockModel()) == Linearizable(tuple(history))


def test_a_wait_may_begin_long_before_its_grant() -> None:
    history = [
        call("acquire", 1, 0, 1),
        call("acquire", 2, 0.5, 6),
        call("release", 1, 4, 5),
        call("acquire", None, 2, 3, answer="busy"),
    ]
    assert isinstance(check(history, LockModel()), Linearizable)


def test_a_call_whose_end_nobody_saw_may_have_happened_or_not() -> None:
    granted = [call("acquire", 1, 0, 1), call("acquire", 2, 4, 5)]
    lost_reply = call("release", 1, 2)
    assert isinstance(check([*granted, lost_reply], LockModel()), Linearizable)
    assert isinstance(check([granted[0], lost_reply], LockModel()), Linearizable)


PLANTED = {
    "two hold it at once": [
        call("acquire", 1, 0, 1),
        call("acquire", 2, 2, 3),
        call("release", 1, 4, 5),
    ],
    "a token is given twice": [
        call("acquire", 1, 0, 1),
        call("release", 1, 2, 3),
        call("acquire", 1, 4, 5),
    ],
    "a token falls": [
        call("acquire", 7, 0, 1),
        call("release", 7, 2, 3),
        call("acquire", 5, 4, 5),
    ],
    "a former holder writes": [
        call("acquire", 1, 0, 1),
        call("release", 1, 2, 3),
        call("acquire", 2, 4, 5),
        call("write", 2, 6, 7),
        call("write", 1, 8, 9),
    ],
    "a present holder is refused": [
        call("acquire", 1, 0, 1),
        call("write", 1, 2, 3, answer="stale"),
    ],
    "busy though nobody holds it": [
        call("acquire", 1, 0, 1),
        call("release", 1, 2, 3),
        call("acquire", None, 4, 5, answer="busy"),
    ],
    "lost though it was held": [
        call("acquire", 1, 0, 1),
        call("release", 1, 2, 3, answer="lost"),
    ],
    "the lock of another was given back": [
        call("acquire", 1, 0, 1),
        call("release", 2, 2, 3),
    ],
}


@pytest.mark.parametrize("history", PLANTED.values(), ids=PLANTED)
def test_a_planted_violation_is_found(history: list[Call]) -> None:
    verdict = check(history, LockModel())
    assert isinstance(verdict, NotLinearizable)
    assert verdict.stuck
    assert str(verdict.stuck[0]) in str(verdict)


def test_the_next_holder_may_come_when_the_lease_could_have_ended_and_not_before() -> None:
    def history(second_at: float) -> list[Call]:
        taken = [call("acquire", 1, 0, 0.1), call("acquire", 2, second_at, second_at + 0.1)]
        return with_expiries(taken, {1: 5.0})

    assert isinstance(check(history(5), LockModel()), Linearizable)
    assert isinstance(check(history(4), LockModel()), NotLinearizable)


def test_a_search_that_takes_too_long_says_so() -> None:
    crowd = [call("acquire", token, 0) for token in range(1, 30)]
    history = [*crowd, call("acquire", None, 1, 2, answer="busy"), call("release", 99, 3, 4)]
    assert isinstance(check(history, LockModel(), tries_max=1_000), Undecided)


def test_a_long_history_is_checked() -> None:
    history = []
    for number in range(2_000):
        began = float(number)
        history.append(call("acquire", number + 1, began, began + 0.4))
        history.append(call("release", number + 1, began + 0.5, began + 0.9))
    assert isinstance(check(history[:600], LockModel()), Linearizable)


@st.composite
def histories(draw: st.DrawFn) -> list[Call]:
    """Up to six calls of two processes, at times that overlap or not."""
    found = []
    for process in ("p", "q"):
        now = 0.0
        for _ in range(draw(st.integers(0, 3))):
            now += draw(st.integers(1, 3))
            began = now
            now += draw(st.integers(1, 4))
            what, answer = draw(
                st.sampled_from(
                    [
                        ("acquire", "ok"),
                        ("acquire", "busy"),
                        ("release", "ok"),
                        ("release", "lost"),
                        ("write", "ok"),
                        ("write", "stale"),
                    ]
                )
            )
            ended = inf if draw(st.integers(0, 5)) == 0 else now
            token = draw(st.integers(1, 3))
            found.append(call(what, token, began, ended, answer=answer, process=process))
    return found


def brute_force(history: list[Call]) -> bool:
    """Whether any order of any of them that holds all that were seen to end is allowed."""
    model = LockModel()
    for count in range(len(history) + 1):
        for order in permutations(history, count):
            if any(each.ended != inf and each not in order for each in history):
                continue
            # Nobody may come behind one that began after it had ended.
            if any(
                later.ended < earlier.began
                for place, earlier in enumerate(order)
                for later in order[place + 1 :]
            ):
                continue
            state = model.initial()
            for each in order:
                after = model.apply(state, each)
                if after is None:
                    break
                state = after
            else:
                return True
    return False


@settings(max_examples=300, deadline=None)
@given(histories())
def test_it_judges_as_trying_every_order_does(history: list[Call]) -> None:
    assert isinstance(check(history, LockModel()), Linearizable) == brute_force(history)
