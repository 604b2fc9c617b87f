"""The bank under load: real transactions over both databases, in this process."""

import threading
from collections.abc import Callable
from random import Random

import pytest
from django.conf import LazySettings

from examples.bank.homes import ALIASES
from examples.bank.load import Load
from examples.bank.mix import choose
from examples.bank.seeding import seed
from examples.bank.statistics import Answer, Result
from examples.bank.totals import settled_total

pytestmark = pytest.mark.django_db(databases=["default", *ALIASES], transaction=True)

ACCOUNTS = 20


@pytest.fixture(autouse=True)
def inline(settings: LazySettings):
    """Run the bank's participants in the load's own threads."""
    settings.COORDINATION = settings.COORDINATION | {"PARTICIPANTS": []}
    seed(ACCOUNTS)


class Answers:
    """The answers of a load, with an event for the first that ends a test's wait."""

    def __init__(self, enough: Callable[[list[Answer]], bool]) -> None:
        self.seen: list[Answer] = []
        self._enough = enough
        self._reached = threading.Event()

    def __call__(self, answer: Answer) -> None:
        self.seen.append(answer)
        if self._enough(self.seen):
            self._reached.set()

    def wait(self) -> None:
        assert self._reached.wait(60), f"only {len(self.seen)} answers: {self.seen[-3:]}"


def test_a_load_conserves_the_total_and_is_voted_down_at_times():
    answers = Answers(lambda seen: len(seen) >= 150)
    load = Load(rate=100, threads=4, seed=3, accounts=ACCOUNTS, on_answer=answers)
    with load:
        answers.wait()
    results = load.statistics().results

    assert load.in_flight == 0
    assert set(results) == {Result.COMMITTED, Result.ABORTED}
    assert any(reason.endswith("insufficient funds") for reason in load.statistics().reasons)
    assert settled_total().conserved


def test_money_moves():
    answers = Answers(lambda seen: sum(a.result is Result.COMMITTED for a in seen) >= 20)
    with Load(rate=100, threads=2, accounts=ACCOUNTS, on_answer=answers):
        answers.wait()

    assert {part.cents for part in settled_total().sums} != {ACCOUNTS * 50_000}


def test_each_transaction_of_a_seed_is_offered_once_whatever_the_threads():
    answers = Answers(lambda seen: len(seen) >= 50)
    with Load(rate=200, threads=4, seed=9, accounts=ACCOUNTS, on_answer=answers):
        answers.wait()
    offered = {answer.index: answer.operation for answer in answers.seen}

    assert len(offered) == len(answers.seen)
    assert offered == {
        index: choose(Random(f"9:{index}"), accounts=ACCOUNTS).operation for index in offered
    }


def test_what_threads_cannot_offer_in_time_is_missed_and_not_made_up_for():
    answers = Answers(lambda seen: seen[-1].index > len(seen))
    load = Load(rate=5000, threads=1, accounts=ACCOUNTS, on_answer=answers)
    with load:
        answers.wait()

    assert load.statistics().missed > 0
    assert load.statistics().answered == len(answers.seen)


def test_a_stopped_load_keeps_its_statistics():
    answers = Answers(lambda seen: len(seen) >= 3)
    with Load(rate=100, threads=1, accounts=ACCOUNTS, on_answer=answers) as load:
        answers.wait()
    first, second = load.statistics(), load.statistics()

    assert first == second
    assert first.seconds > 0


@pytest.mark.parametrize(
    "wrong",
    [{"rate": 0}, {"rate": float("nan")}, {"rate": -1}, {"threads": 0}, {"accounts": 1}],
)
def test_a_load_that_could_not_run_is_refused(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"^{name} must be "):
        Load(**{"rate": 1, "threads": 1} | wrong)
