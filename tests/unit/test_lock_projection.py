"""The record a resource's events fold into, and whether a stream lost events."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordination.kernel.events import Event
from coordination.locks.events import LockEvent
from coordination.locks.foreign import Page, Recorded
from coordination.locks.projection import apply, fold
from coordination.locks.record import Record, state_of
from coordination.locks.types import Kind, Resource
from coordination.observing.streams import Place, follow
from tests.unit.lock_histories import KEY, History, histories


def folded(events: list[Event]) -> Record:
    record = fold(events)
    assert record is not None
    return record


@settings(deadline=None)
@given(histories())
def test_a_record_follows_who_has_it_and_who_waits(events: list[Event]) -> None:
    record, held, waiting = None, set[str](), list[str]()
    for event in events:
        record = apply(record, event)
        id_ = event.data["id"]
        match event.kind.removeprefix("lock."):
            case "granted" | "handed":
                held.add(id_)
                waiting = [each for each in waiting if each != id_]
            case "released" | "expired" | "forced":
                held.discard(id_)
            case "waiting":
                waiting.append(id_)
            case "gave_up":
                waiting.remove(id_)
        row = record.as_row()

        assert {each.id for each in record.holders} == held
        assert [each.id for each in record.waiters] == waiting
        assert (row["holding"], row["waiting"]) == (len(held), len(waiting))
        assert (row["until"] is None) == (not held)
        assert not record.gap
        assert json.loads(json.dumps(row)) == row


@settings(deadline=None)
@given(histories(), st.data())
def test_a_replay_gives_the_same_record_wherever_it_was_interrupted(
    events: list[Event], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(events)))
    again = data.draw(st.integers(0, cut))

    assert fold(events) == fold(events[again:], fold(events[:cut]))


@settings(deadline=None)
@given(histories())
def test_a_record_survives_its_row(events: list[Event]) -> None:
    record = folded(events)
    row = record.as_row()
    row["changed_at"] = datetime.fromisoformat(row["changed_at"])

    assert Record.from_row(row) == record


@settings(deadline=None)
@given(histories(), st.data())
def test_a_snapshot_stands_for_the_history_before_it(
    events: list[Event], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(1, len(events)))
    before = folded(events[:cut])
    base = replace(events[cut - 1], kind="lock.resynced", data=state_of(before))

    assert fold([base, *events[cut:]]) == fold(events)


@settings(deadline=None)
@given(histories(), st.data())
def test_lost_events_mark_the_record_until_a_snapshot_comes(
    events: list[Event], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(events) - 1))
    lost = data.draw(st.integers(cut, len(events)))
    record = fold([*events[:cut], *events[lost:]])
    whole = folded(events)
    version = whole.version + 1
    snapshot = replace(
        events[-1], kind="lock.resynced", data=state_of(whole), version=version, at=whole.changed_at
    )
    told = apply(record, snapshot)

    assert not told.gap
    assert (told.holders, told.waiters) == (whole.holders, whole.waiters)
    assert (told.token, told.version) == (whole.token, version)


def test_who_gives_up_has_neither_a_place_nor_what_it_was_handed() -> None:
    history = History().waiting(0, "a").handed(1, "a", 0).add("gave_up", 2, "a")
    record = folded(history.events)

    assert (record.holders, record.waiters, record.held_ms, record.gap) == ((), (), (), False)


def test_an_end_of_an_unknown_hold_is_a_gap_that_the_next_lone_grant_heals() -> None:
    history = History().released(0, "x", 5)
    assert folded(history.events).gap

    record = folded(history.granted(1, "a", 6).events)
    assert not record.gap
    assert [each.id for each in record.holders] == ["a"]


def test_a_holder_from_before_a_loss_gives_way_to_the_only_one() -> None:
    history = History().granted(0, "a", 5)
    history.era = 1
    record = folded(history.waiting(1, "b").events)
    assert (record.gap, [each.id for each in record.holders]) == (True, ["a"])

    record = folded(history.granted(2, "c", 6).events)
    assert (record.gap, [each.id for each in record.holders]) == (False, ["c"])
    assert (record.last_end, record.waiters) == ("unseen", ())


def test_an_event_without_what_its_kind_promises_marks_the_record() -> None:
    record = folded(History().granted(0, "a", 5).add("granted", 1, "b", 6).events)

    assert (record.gap, record.version) == (True, 2)


def test_events_of_a_store_that_tells_flat_are_understood() -> None:
    event = History().granted(0, "a", 5).events[0]
    data = {name: value for name, value in event.data.items() if name not in ("who", "limit")}
    flat = replace(event, data={**data, "owner": "me", "context": "task", "metadata": {"a": 1}})
    (holder,) = folded([flat]).holders

    assert (holder.owner, holder.context, holder.metadata) == ("me", "task", {"a": 1})


# -- whether a stream lost events --


def told(position: int, *, at_us: int | None = None, mark: str = "") -> Recorded:
    event = LockEvent(
        what="lock.granted",
        resource=Resource(Kind.LOCK, KEY),
        at_us=position * 10 if at_us is None else at_us,
        node="",
        id=str(position),
        token=1,
        data={},
    )
    return Recorded(position=position, print=mark or f"p{position}", event=event)


def page(*entries: Recorded, begins: bool = False) -> Page:
    return Page(entries=entries, begins=begins, more=False)


def followed(place: Place, given: Page) -> tuple[Place, list[int]]:
    after, imported = follow(place, given)
    return after, [each.position for each in imported]


AT_THREE = Place(position=3, print="p3", newest_us=30)


@pytest.mark.parametrize(
    ("given", "positions", "era", "position"),
    [
        (page(told(3), told(4), told(9)), [4, 9], 0, 9),
        (page(told(3)), [], 0, 3),
        (page(told(7), told(8)), [7, 8], 1, 8),  # trimmed, or its end was lost
        (page(told(3, mark="x"), told(4)), [], 1, 0),  # another history
        (page(), [], 1, 0),  # flushed, or its end was lost
    ],
)
def test_a_loss_of_events_is_seen(
    given: Page, positions: list[int], era: int, position: int
) -> None:
    after, imported = followed(AT_THREE, given)

    assert (imported, after.era, after.position) == (positions, era, position)
    assert after.missing == (era > 0)
    assert Place.parse(after.position, after.text()) == after


@pytest.mark.parametrize(
    ("given", "era"),
    [(page(), 0), (page(told(5), begins=True), 0), (page(told(5), begins=False), 1)],
)
def test_a_history_that_was_trimmed_before_it_was_read_is_a_loss(given: Page, era: int) -> None:
    after, imported = followed(Place(), given)

    assert (after.era, len(imported)) == (era, len(given.entries))


def test_what_is_of_no_resource_is_passed_over() -> None:
    nobodys = replace(told(4, at_us=10**15), of_nobody=True)
    after, imported = followed(AT_THREE, page(told(3), nobodys, told(5)))

    assert (imported, after.newest_us, after.era) == ([5], 50, 0)


def test_of_a_history_begun_anew_only_what_is_later_is_copied() -> None:
    after, _ = follow(AT_THREE, page())
    after, imported = followed(
        after, page(told(1), told(2), told(3, at_us=31), told(4, at_us=29), begins=True)
    )

    assert imported == [3, 4]
    assert (after.era, after.position, after.floor_us) == (1, 4, 0)


def test_what_cannot_be_read_is_a_loss() -> None:
    after, imported = followed(
        AT_THREE, page(told(3), Recorded(position=4, print="x", event=None), told(5))
    )

    assert (imported, after.era, after.position) == ([5], 1, 5)
