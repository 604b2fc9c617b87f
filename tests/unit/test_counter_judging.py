"""The judge of counter histories: what a sound store tells passes, and each mistake is found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from coordination.counters.judging import Counts, Finding, ViolationKind, Watch, compare, judge
from coordination.counters.projection import RESYNCED, apply
from coordination.counters.record import Record
from coordination.counters.types import Reading
from coordination.kernel.events import Event
from coordination.locks.types import moment

KEY = "redis a"
BEGIN_US = 1_795_000_000_000_000


def change(number: int, before: int, after: int, **data: Any) -> Event:
    """The change that makes version `number`, unless `v` says another."""
    kind = data.pop("kind", "counter.added")
    told = {"id": f"op-{number}", "before": before, "after": after, "v": number}
    return Event(
        kind=kind,
        object="counter",
        name=KEY,
        version=number,
        at=moment(BEGIN_US + number * 1_000),
        node="test",
        actor=data.get("actor", ""),
        data=told | data,
    )


def resynced(number: int, after: int | None, v: int, **data: Any) -> Event:
    event = change(number, 0, 0, kind=RESYNCED)
    return replace(event, data={"after": after, "v": v} | data)


def history(amounts: list[int]) -> list[Event]:
    """A sound one."""
    value, events = 0, []
    for number, amount in enumerate(amounts, 1):
        events.append(change(number, value, value + amount))
        value += amount
    return events


def judged(events: list[Event]) -> tuple[Watch, Counts, list[Finding]]:
    watch, counts, findings = Watch(KEY), Counts(), list[Finding]()
    for event in events:
        findings += judge(watch, event, counts)
    return watch, counts, findings


AMOUNTS = st.lists(st.integers(-9, 9), min_size=1, max_size=30)


@given(AMOUNTS)
def test_a_sound_history_breaks_no_rule_and_sums_up(amounts: list[int]) -> None:
    watch, counts, findings = judged(history(amounts))
    assert not findings
    assert watch.base + watch.sum == watch.value == sum(amounts)
    assert (counts.changes, counts.op_ids, counts.gaps) == (len(amounts), len(amounts), 0)
    assert compare(watch, Reading(sum(amounts), len(amounts))) is None


@given(AMOUNTS, st.integers(0, 29), st.integers(-5, 5).filter(bool))
def test_a_value_changed_between_two_events_is_found_once(
    amounts: list[int], at: int, by: int
) -> None:
    events = history(amounts)
    at = 1 + at % len(events)
    moved = [
        change(
            number,
            event.data["before"] + by,
            event.data["after"] + by,
        )
        for number, event in enumerate(events[at:], at + 1)
    ]
    watch, _, findings = judged([*events[:at], *moved])
    if moved:
        assert [each.kind for each in findings] == [ViolationKind.CHAIN_BROKEN]
    assert watch.base + watch.sum == watch.value


@given(AMOUNTS, st.integers(0, 29), st.integers(-5, 5).filter(bool))
def test_what_the_store_has_otherwise_is_found_and_then_taken_over(
    amounts: list[int], more: int, by: int
) -> None:
    watch, _, _ = judged(history(amounts))
    for stands in (
        Reading(watch.value + by, watch.writes),
        Reading(watch.value, watch.writes + 1 + more),
        Reading(0, 0),
    ):
        found = compare(watch, stands)
        assert found is not None
        assert found.kind is ViolationKind.STRAYED
        assert compare(watch, stands) is None


def test_an_op_id_counted_twice_is_found_and_leaves_the_sum_of_the_others() -> None:
    watch, counts = Watch(KEY), Counts()
    judge(watch, change(1, 0, 5), counts)
    (found,) = judge(watch, change(2, 5, 10), counts, doubled="recorded as event 1 before")

    assert found.kind is ViolationKind.DOUBLED
    assert (watch.sum, watch.value) == (5, 10)
    assert (counts.changes, counts.op_ids) == (2, 1)


def test_a_version_that_was_skipped_or_fell_is_found() -> None:
    assert [each.kind for each in judged([change(1, 0, 1), change(2, 1, 2, v=3)])[2]] == [
        ViolationKind.VERSION_SKIPPED
    ]
    assert [each.kind for each in judged([*history([1, 1]), change(3, 0, 1, v=1)])[2]] == [
        ViolationKind.VERSION_FELL
    ]


def test_a_bound_that_was_crossed_is_found() -> None:
    (found,) = judged([change(1, 0, -1, minimum=0)])[2]
    assert found.kind is ViolationKind.BOUND_CROSSED


def test_where_events_are_missing_nobody_is_blamed_and_the_next_one_tells() -> None:
    lost = [change(1, 0, 1), change(4, 3, 4), change(5, 4, 5), change(6, 9, 10)]
    watch, counts, findings = judged(lost)
    assert counts.gaps == 1
    assert [each.evidence["version"] for each in findings] == [6]
    assert watch.value == 10

    another = [change(1, 0, 1), change(2, 7, 8, v=1, era=1), change(3, 8, 9, v=2, era=1)]
    _, counts, findings = judged(another)
    assert (counts.changes, counts.gaps, findings) == (3, 1, [])


def test_a_counter_that_is_told_anew_goes_on_from_there() -> None:
    watch, counts, findings = judged(
        [change(1, 0, 1), resynced(2, 8, 5, era=1), change(3, 8, 9, v=6, era=1)]
    )
    assert not findings
    assert (watch.value, watch.writes, counts.gaps) == (9, 6, 1)

    watch, _, findings = judged(
        [change(1, 0, 1), resynced(2, None, 0, era=1), change(3, 0, 4, v=1, era=1)]
    )
    assert not findings
    assert watch.value == 4


def test_what_cannot_be_read_is_counted_and_stops_nothing() -> None:
    watch, counts, findings = judged([change(1, 0, 1), change(2, 1, 2, v="x"), change(3, 2, 3)])
    assert (counts.unreadable, findings, watch.value) == (1, [], 3)


def test_what_was_judged_is_not_judged_again() -> None:
    events = history([1, 2])
    watch, counts, findings = judged([*events, *events])
    assert (counts.changes, findings, watch.value) == (2, [], 3)


@given(AMOUNTS)
def test_a_record_ends_where_its_events_do_wherever_it_was_interrupted(amounts: list[int]) -> None:
    events = history(amounts)
    record: Record | None = None
    for event in events:
        record = apply(record, event)
        again = apply(record, event)
        assert replace(again, feed_seq=0) == replace(record, feed_seq=0)
        row = record.as_row()
        assert Record.from_row(row) == record
    assert record is not None
    assert (record.value, record.writes, record.gap) == (sum(amounts), len(amounts), False)
    assert sum(count for _, count in record.rates) == record.changes == len(amounts)
