"""The checker of counter histories: it takes what could have happened and nothing else."""

from math import inf

import pytest

from coordination.counters.machine import decide
from coordination.counters.types import Change, Ending, Reading, Rules, Verb
from coordination.verification.counter_model import UNSEEN, CounterModel
from coordination.verification.linearizability import Call, Linearizable, NotLinearizable, check


def call(
    what: str, token: int | None, answer: str, began: float, ended: float = inf, process: str = "p"
) -> Call:
    return Call(process=process, what=what, token=token, answer=answer, began=began, ended=ended)


GOOD = {
    "one after the other": [
        call("add", 2, "2", 0, 1),
        call("compare_and_set 2", 5, "written", 2, 3),
        call("compare_and_set 2", 9, "mismatch", 4, 5),
        call("set", 3, "3", 6, 7),
        call("get", None, "3", 8, 9),
    ],
    "those at once in the order that their answers tell": [
        call("add", 1, "3", 0, 9),
        call("add", 2, "2", 1, 8),
        call("get", None, "2", 2, 7),
    ],
    "one that was never answered and applied": [
        call("add", 5, UNSEEN, 0),
        call("get", None, "5", 1, 2),
    ],
    "one that was never answered and not applied": [
        call("add", 5, UNSEEN, 0),
        call("get", None, "0", 1, 2),
        call("get", None, "0", 3, 4),
    ],
    "a bound that refuses": [call("add", -1, "exceeded", 0, 1), call("get", None, "0", 2, 3)],
}
PLANTED = {
    "an update is lost": [
        call("add", 1, "1", 0, 1),
        call("add", 1, "1", 2, 3),
    ],
    "an increment is doubled": [
        call("add", 1, "1", 0, 1),
        call("get", None, "2", 2, 3),
    ],
    "an acknowledged write is gone": [
        call("set", 4, "4", 0, 1),
        call("get", None, "0", 2, 3),
    ],
    "a read falls back behind another": [
        call("add", 1, UNSEEN, 0),
        call("get", None, "1", 1, 2),
        call("get", None, "0", 3, 4),
    ],
    "two compared with one value and both wrote": [
        call("compare_and_set 0", 1, "written", 0, 5, "a"),
        call("compare_and_set 0", 2, "written", 0, 5, "b"),
    ],
    "a mismatch wrote": [
        call("compare_and_set 7", 1, "mismatch", 0, 1),
        call("get", None, "1", 2, 3),
    ],
    "a mismatch that was none": [call("compare_and_set 0", 1, "mismatch", 0, 1)],
    "a bound was passed": [call("add", -1, "-1", 0, 1)],
    "a bound refused what it allows": [call("add", 1, "exceeded", 0, 1)],
}
MODEL = CounterModel(lowest=0, highest=100)


@pytest.mark.parametrize("what", GOOD)
def test_what_could_have_happened_passes(what: str) -> None:
    assert isinstance(check(GOOD[what], MODEL), Linearizable)


@pytest.mark.parametrize("what", PLANTED)
def test_a_planted_violation_is_found(what: str) -> None:
    assert isinstance(check(PLANTED[what], MODEL), NotLinearizable)


def test_a_call_that_no_counter_knows_is_an_error() -> None:
    with pytest.raises(ValueError, match="multiply"):
        check([call("multiply", 2, "0", 0, 1)], MODEL)


@pytest.mark.parametrize(
    ("change", "ending", "value"),
    [
        (Change(Verb.ADD, "i", 5), Ending.DONE, 9),
        (Change(Verb.ADD, "i", 7), Ending.EXCEEDED, 4),
        (Change(Verb.ADD, "i", -5), Ending.EXCEEDED, 4),
        (Change(Verb.SET, "i", 10), Ending.DONE, 10),
        (Change(Verb.SET, "i", 11), Ending.EXCEEDED, 4),
        (Change(Verb.COMPARE_AND_SET, "i", 6, 4), Ending.DONE, 6),
        (Change(Verb.COMPARE_AND_SET, "i", 6, 5), Ending.MISMATCH, 4),
        (Change(Verb.COMPARE_AND_SET, "i", 11, 4), Ending.EXCEEDED, 4),
        (Change(Verb.COMPARE_AND_SET, "i", 11, 5), Ending.MISMATCH, 4),
    ],
)
def test_only_what_is_done_moves_the_version(change: Change, ending: Ending, value: int) -> None:
    answer = decide(Rules("a", minimum=0, maximum=10), Reading(4, 2), change)

    assert answer == (ending, value, 3 if ending is Ending.DONE else 2, change.said)
