"""What a counter answers, on every store."""

import secrets
from collections.abc import Callable

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from coordination import counter
from coordination.counters.api import Counter
from coordination.exceptions import BoundExceeded, InvalidArgument, NotSupportedByStore
from tests.contract.threads import at_once

MOST = 2**53 - 1

Make = Callable[..., Counter]


def test_a_counter_that_nobody_wrote_is_its_initial_value_at_version_0(made: Make) -> None:
    c = made(initial=7)

    assert c.get() == 7
    assert c.read() == (7, 0)
    assert c.add(-2) == 5
    assert c.read() == (5, 1)


def test_every_verb_returns_the_new_value_and_moves_the_version(made: Make) -> None:
    c = made(initial=3)

    assert [c.add(), c.add(5), c.set(100), c.reset(), c.add(-10)] == [4, 9, 100, 3, -7]
    assert c.read() == (-7, 5)


def test_compare_and_set_writes_nothing_on_a_mismatch(made: Make) -> None:
    c = made()

    assert c.compare_and_set(0, 10) is True
    assert c.compare_and_set(0, 20) is False
    assert c.read() == (10, 1)
    assert [past.after for past in c.history()] == [10]


def test_a_repeated_call_gets_the_first_answer(made: Make) -> None:
    c = made()
    first, second = secrets.token_hex(8), secrets.token_hex(8)

    assert c.add(5, op_id=first) == 5
    assert c.add(1) == 6
    assert c.add(5, op_id=first) == 5
    assert c.compare_and_set(6, 7, op_id=second) is True
    assert c.set(50, op_id="s") == 50
    assert c.reset(op_id="r") == 0
    assert c.compare_and_set(6, 7, op_id=second) is True
    assert c.set(50, op_id="s") == 50
    assert c.reset(op_id="r") == 0
    assert c.read() == (0, 5)


def test_a_refused_call_that_is_repeated_stays_refused(made: Make) -> None:
    c = made(minimum=0)

    with pytest.raises(BoundExceeded):
        c.add(-1, op_id="taken")
    assert c.compare_and_set(5, 6, op_id="compared") is False
    assert c.set(5) == 5
    with pytest.raises(BoundExceeded):
        c.add(-1, op_id="taken")
    assert c.compare_and_set(5, 6, op_id="compared") is False
    assert c.read() == (5, 1)


def test_an_op_id_that_was_used_for_another_change_is_refused(made: Make) -> None:
    c = made()
    c.add(5, op_id="once")

    for call in (
        lambda: c.add(6, op_id="once"),
        lambda: c.set(5, op_id="once"),
        lambda: c.compare_and_set(5, 6, op_id="once"),
    ):
        with pytest.raises(InvalidArgument, match="was used before"):
            call()
    assert c.read() == (5, 1)


def test_one_op_id_of_two_counters_is_two_calls(made: Make, using: str, name: str) -> None:
    assert made().add(2, op_id="one") == 2
    assert counter(f"{name}-other", using=using).add(3, op_id="one") == 3


@pytest.mark.django_db(transaction=True)
def test_a_name_lives_where_its_route_says(name: str, settings: Settings) -> None:
    settings.COORDINATION = django_settings.COORDINATION | {
        "ROUTES": [("counter", "test:*", "database")]
    }
    counter(name).add(5)

    assert counter(name, using="database").get() == 5
    assert counter(name, using="redis").get() == 0


def test_a_bound_refuses_and_nothing_is_written(made: Make) -> None:
    c = made(initial=1, minimum=0, maximum=10)

    for call in (lambda: c.add(-2), lambda: c.add(10), lambda: c.set(11), lambda: c.set(-1)):
        with pytest.raises(BoundExceeded) as refused:
            call()
        assert refused.value.applied is False
    with pytest.raises(BoundExceeded):
        c.compare_and_set(1, 11)
    assert c.read() == (1, 0)
    assert [c.add(9), c.add(-10)] == [10, 0]


def test_values_are_exact_up_to_the_last_one_and_no_further(made: Make) -> None:
    c = made()

    assert c.set(MOST - 1) == MOST - 1
    assert c.add(1) == MOST
    with pytest.raises(BoundExceeded):
        c.add(1)
    with pytest.raises(BoundExceeded):
        c.add(MOST)
    assert c.compare_and_set(MOST, -MOST) is True
    with pytest.raises(BoundExceeded):
        c.add(-1)
    assert c.get() == -MOST
    assert c.add(MOST) == 0
    assert [past.before for past in c.history(1)] == [-MOST]


def test_a_batch_is_added_one_by_one_and_refusals_stand_in_their_place(made: Make) -> None:
    c = made(minimum=0)

    answers = c.add_many([3, (2, "a"), -9, (2, "a"), 1])

    assert [
        str(type(each).__name__) if isinstance(each, Exception) else each for each in answers
    ] == [3, 5, "BoundExceeded", 5, 6]
    assert c.read() == (6, 3)
    assert c.add_many([]) == []


def test_every_change_is_an_event_of_the_next_version(made: Make) -> None:
    c = made(maximum=100)
    c.add(5, op_id="five")
    c.add(5, op_id="five")
    c.compare_and_set(0, 1)
    c.compare_and_set(5, 8)
    with pytest.raises(BoundExceeded):
        c.add(1000)
    c.set(20)
    c.reset()

    told = [
        (past.version, past.kind, past.before, past.after, past.amount)
        for past in reversed(c.history())
    ]
    assert told == [
        (1, "counter.added", 0, 5, 5),
        (2, "counter.compare_and_set", 5, 8, 3),
        (3, "counter.set", 8, 20, 12),
        (4, "counter.reset", 20, 0, -20),
    ]
    assert c.history()[-1].op_id == "five"
    assert [past.version for past in c.history(2)] == [4, 3]
    assert len({past.node for past in c.history()}) == 1


def test_adds_at_once_are_all_counted_with_versions_of_their_own(made: Make) -> None:
    c = made()
    at_once(*[lambda: [c.add(1) for _ in range(10)] for _ in range(4)])

    assert c.read() == (40, 40)
    assert [past.version for past in c.history()] == list(range(40, 0, -1))
    assert {past.after - past.before for past in c.history()} == {1}


def test_of_those_who_compare_with_one_value_at_once_one_writes(made: Make) -> None:
    c = made()
    won = at_once(*[lambda i=i: c.compare_and_set(0, i) for i in range(1, 7)])

    assert sum(won) == 1
    assert c.read() == (won.index(True) + 1, 1)


def test_a_call_that_is_repeated_at_once_is_applied_once(made: Make) -> None:
    c = made()

    assert set(at_once(*[lambda: c.add(3, op_id="same") for _ in range(6)])) == {3}
    assert c.read() == (3, 1)


def test_a_counter_with_shards_has_an_exact_sum(made: Make) -> None:
    c = made(shards=4, initial=100)
    assert c.get() == 100
    at_once(*[lambda: [c.add(1) for _ in range(5)] for _ in range(5)])
    c.add_many([1, 2, (3, "three"), (3, "three")])
    for _ in range(2):
        c.add(10, op_id="ten")

    assert c.get() == 100 + 25 + 6 + 10
    assert c.set(7) == 7
    assert c.get() == 7
    assert c.add(1) == 8
    assert c.reset() == 100
    assert c.get() == 100
    for past in c.history():
        assert past.version >= 1


def test_what_shards_cannot_do_is_refused_before_anything_is_sent(made: Make) -> None:
    c = made(shards=4)

    for call in (c.read, lambda: c.compare_and_set(0, 1)):
        with pytest.raises(NotSupportedByStore):
            call()
    with pytest.raises(NotSupportedByStore):
        made(shards=2, minimum=0)
    assert c.history() == []


async def test_the_same_from_asyncio(made: Make) -> None:
    c = made()

    assert await c.aadd(5) == 5
    assert await c.aadd_many([1, 1]) == [6, 7]
    assert await c.acompare_and_set(7, 8) is True
    assert await c.aset(9) == 9
    assert await c.aget() == 9
    assert await c.aread() == (9, 5)
    assert await c.areset() == 0
