"""Counters of every store that holds room behave as the model does, step by step."""

import random
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from coordination import counter
from coordination.counters.holding import CounterHolds, room_of
from coordination.counters.machine import decide
from coordination.counters.stores.holds import counter_holds
from coordination.counters.types import Change, Ending, Reading, Rules, Verb
from coordination.exceptions import BoundExceeded
from coordination.kernel.holds import HoldState
from tests.databases import ALIASES
from tests.effects import Added, Effect, effect_of

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)
STEPS = 250


@pytest.fixture(params=["counter-redis", "counter-sqlite", "counter-zookeeper"])
def added(request: pytest.FixtureRequest, transactional_db: None) -> Effect:
    return effect_of(request)


@dataclass
class Model:
    """A counter and its holds."""

    rules: Rules
    stands: Reading
    holds: dict[str, int] = field(default_factory=dict)

    def hold(self, branch: str, amount: int) -> HoldState | None:
        """None: refused."""
        if not room_of(self.holds.values()).allows_adding(self.rules, self.stands.value, amount):
            return None
        self.holds[branch] = amount
        return HoldState.HELD

    def apply(self, branch: str) -> HoldState:
        value, version = self.stands
        self.stands = Reading(value + self.holds.pop(branch), version + 1)
        return HoldState.APPLIED

    def cancel(self, branch: str) -> HoldState:
        self.holds.pop(branch)
        return HoldState.CANCELLED

    def change(self, change: Change) -> Ending:
        answer = decide(self.rules, self.stands, change, room_of(self.holds.values()))
        self.stands = Reading(answer.value, answer.version)
        return answer.ending


def test_a_long_history_of_holds_and_changes_is_that_of_the_model(added: Added) -> None:
    seed = secrets.randbelow(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    rules = Rules(added.name, initial=3, minimum=-5, maximum=10)
    holds = counter_holds(added.using)
    assert holds is not None
    model = Model(rules, Reading(3, 0))

    for number in range(STEPS):
        step(chance, holds, model, f"cc:model:{number}", added.using)
        c = counter(added.name, initial=3, minimum=-5, maximum=10, using=added.using)
        assert c.read() == model.stands


def step(chance: random.Random, holds: CounterHolds, model: Model, branch: str, using: str) -> None:
    rules, amount = model.rules, chance.randint(-4, 4)
    what = chance.choice(["hold", "hold", "add", "set", "compare", "end", "end"])
    c = counter(rules.name, initial=3, minimum=-5, maximum=10, using=using)
    if what == "end" and model.holds:
        other = chance.choice(sorted(model.holds))
        if chance.random() < 0.5:
            held = model.holds[other]
            assert holds.apply(rules, held, branch=other) is model.apply(other)
            holds.forget(rules, branch=other)
        else:
            assert holds.cancel(rules, branch=other) is model.cancel(other)
    elif what == "hold":
        expected = model.hold(branch, amount)
        try:
            found = holds.hold(rules, amount, branch=branch, remaining_ms=lambda: 9_000)
        except BoundExceeded:
            found = None  # type: ignore[assignment]
        assert found is expected
    elif what == "add":
        ending = model.change(Change(Verb.ADD, branch, amount))
        assert ended(lambda: c.add(amount)) is ending
    elif what == "set":
        ending = model.change(Change(Verb.SET, branch, amount))
        assert ended(lambda: c.set(amount)) is ending
    elif what == "compare":
        expected_value = model.stands.value + chance.choice([0, 0, 1])
        ending = model.change(Change(Verb.COMPARE_AND_SET, branch, amount, expected_value))
        assert ended(lambda: c.compare_and_set(expected_value, amount)) is ending


def ended(call: Callable[[], object]) -> Ending:
    try:
        answer = call()
    except BoundExceeded:
        return Ending.EXCEEDED
    return Ending.MISMATCH if answer is False else Ending.DONE
