"""Many changes as few events: nothing is lost by it, and nothing odd is hidden in it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from coordination.counters.foreign import CounterEvent, Imported
from coordination.counters.runs import LAST_KEPT, runs


def change(position: int, name: str, version: int, before: int, by: int, id_: str) -> Imported:
    event = CounterEvent(
        kind="counter.added",
        name=name,
        at_us=position,
        node="test",
        id=id_,
        version=version,
        before=before,
        after=before + by,
    )
    return Imported(position=position, era=0, event=event)


def unbroken(count: int, name: str = "a", begin: int = 0) -> list[Imported]:
    return [change(begin + n, name, n, n - 1, 1, f"{name}-op-{n}") for n in range(1, count + 1)]


def test_a_few_changes_stay_as_they_are() -> None:
    made = runs(unbroken(LAST_KEPT), known={})
    assert [run.count for run in made] == [1] * LAST_KEPT


def test_many_are_one_event_and_the_last_of_them_stay_single() -> None:
    made = runs(unbroken(100), known={})
    assert [run.count for run in made] == [100 - LAST_KEPT, *[1] * LAST_KEPT]
    assert (made[0].first, made[0].last.version) == (1, 100 - LAST_KEPT)
    assert (made[0].before, made[0].last.after) == (0, 100 - LAST_KEPT)


def test_a_break_in_the_chain_ends_a_run() -> None:
    page = unbroken(100)
    moved = [
        change(each.position, "a", 50 + n, 1_000 + n, 1, f"m-{n}")
        for n, each in enumerate(page[49:])
    ]
    made = runs([*page[:49], *moved], known={})
    assert [(run.first, run.before) for run in made[:2]] == [(1, 0), (50, 1_000)]


def test_an_op_id_that_was_there_before_is_told_of() -> None:
    page = unbroken(60)
    again = change(99, "a", 61, 60, 1, "a-op-7")
    made = runs([*page, again], known={})
    assert [run.last.version for run in made if run.doubled] == [61]

    later = runs([change(100, "a", 62, 61, 1, "a-op-8")], known={("a", "a-op-8"): 101})
    assert [run.doubled for run in later] == [True]

    forgotten = runs([change(100, "a", 62, 61, 1, "a-op-8")], known={("a", "a-op-8"): 100})
    assert [run.doubled for run in forgotten] == [False]


def test_the_same_op_id_of_another_counter_is_another_call() -> None:
    made = runs([change(1, "b", 1, 0, 1, "op")], known={("a", "op"): 9})
    assert not made[0].doubled


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(-3, 3), st.booleans(), st.integers(0, 40)),
        max_size=120,
    )
)
def test_every_change_is_in_one_run_and_no_run_hides_a_break(
    steps: Sequence[tuple[str, int, bool, int]],
) -> None:
    stand: dict[str, tuple[int, int]] = {}
    page = []
    for position, (name, by, aside, id_) in enumerate(steps, 1):
        version, value = stand.get(name, (0, 0))
        value += 100 if aside else 0
        page.append(change(position, name, version + 1, value, by, f"op-{id_}"))
        stand[name] = version + 1, value + by
    made = runs(page, known={})

    for name in "abc":
        mine = [run for run in made if run.last.name == name]
        told = [v for run in mine for v in range(run.first, run.last.version + 1)]
        assert told == [each.event.version for each in page if each.event.name == name]
        events = {each.event.version: each.event for each in page if each.event.name == name}
        for run in mine:
            inside = [events[v] for v in range(run.first, run.last.version + 1)]
            assert run.before == inside[0].before
            assert all(one.after == two.before for one, two in itertools.pairwise(inside))
            ids = [each.id for each in inside]
            assert len(set(ids)) == len(ids)
    assert [run.position for run in made] == sorted(run.position for run in made)
