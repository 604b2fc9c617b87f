"""The judge of a resource's history: planted mistakes are found, good histories pass."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordination.kernel.events import Event
from coordination.locks.judging import Counts, Finding, ViolationKind, Watch, judge
from coordination.locks.types import moment
from tests.unit.lock_histories import BEGIN_US, KEY, SECOND, History, histories, renumbered


def judged(events: list[Event], watch: Watch | None = None) -> tuple[list[Finding], Counts]:
    watch, counts, found = watch or Watch(KEY), Counts(), list[Finding]()
    for event in events:
        found += judge(watch, event, counts)
    return found, counts


def broken(history: History) -> list[ViolationKind]:
    return [finding.kind for finding in judged(history.events)[0]]


@settings(deadline=None)
@given(histories())
def test_what_a_lock_that_keeps_its_promises_records_passes(events: list[Event]) -> None:
    findings, counts = judged(events)

    assert findings == []
    assert (counts.gaps, counts.unreadable) == (0, 0)
    assert counts.grants == sum(event.kind == "lock.granted" for event in events)


@settings(deadline=None)
@given(histories(), st.data())
def test_a_judge_may_be_interrupted_anywhere(events: list[Event], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(events)))
    watch = Watch(KEY)
    first, _ = judged(events[:cut], watch)
    again = Watch.from_json(KEY, watch.version, json.loads(json.dumps(watch.as_json())))
    second, _ = judged(events, again)
    whole = Watch(KEY)
    judged(events, whole)

    assert first == second == []
    assert again == whole


@settings(deadline=None)
@given(histories(), st.data())
def test_lost_events_are_a_gap_and_nobodys_fault(events: list[Event], data: st.DataObject) -> None:
    lost = data.draw(st.integers(0, len(events) - 1))
    findings, counts = judged([*events[:lost], *events[lost + 1 :]])

    assert findings == []
    assert counts.gaps == (1 if 0 < lost < len(events) - 1 else 0)


@settings(deadline=None)
@given(histories(), st.data())
def test_an_end_that_was_not_recorded_is_found_with_the_next_grant(
    events: list[Event], data: st.DataObject
) -> None:
    """As if the store had given it away while somebody held it."""
    ends = [
        number
        for number, event in enumerate(events)
        if event.kind in ("lock.released", "lock.forced") and followed_by_overlap(events, number)
    ]
    if not ends:
        return
    left_out = data.draw(st.sampled_from(ends))
    spoilt = renumbered([*events[:left_out], *events[left_out + 1 :]])

    assert ViolationKind.OVERLAP in [finding.kind for finding in judged(spoilt)[0]]


def followed_by_overlap(events: list[Event], end: int) -> bool:
    """Whether an exclusive grant comes while the lease that ended at `end` would have lasted."""
    id_ = events[end].data["id"]
    held = [event for event in events[:end] if event.data["id"] == id_ and "until" in event.data]
    if not any(event.kind == "lock.granted" for event in held):
        return False
    until = moment(held[-1].data["until"])
    return any(
        event.kind == "lock.granted"
        and event.data["mode"] == "exclusive"
        and event.data["id"] != id_
        and event.at < until
        for event in events[end:]
    )


def test_two_who_hold_it_at_once_are_named_with_their_intervals() -> None:
    history = History().granted(0, "a", 5).granted(10, "b", 7)
    (finding,), counts = judged(history.events)

    assert finding.kind is ViolationKind.OVERLAP
    assert finding.sentence == (
        f"owner-b got it (token 7) at {at(10)} while owner-a held it (token 5)"
    )
    first, second = finding.evidence["holds"]
    assert (first["owner"], first["token"], second["owner"]) == ("owner-a", 5, "owner-b")
    assert first["until"] == moment(BEGIN_US + 30 * SECOND).isoformat()
    assert counts.grants == 2


def at(seconds: float) -> str:
    return moment(BEGIN_US + round(seconds * SECOND)).strftime("%H:%M:%S.%f")


PLANTED: dict[str, tuple[History, ViolationKind]] = {
    "a renewed lease still lasts": (
        History().granted(0, "a", 5, ttl=5).renewed(4, "a", 5, ttl=5).granted(6, "b", 7),
        ViolationKind.OVERLAP,
    ),
    "a writer beside a reader": (
        History().granted(0, "a", 5, mode="shared").granted(1, "b", 6),
        ViolationKind.OVERLAP,
    ),
    "a reader beside a writer": (
        History().granted(0, "a", 5).granted(1, "b", 6, mode="shared"),
        ViolationKind.OVERLAP,
    ),
    "one permit too many": (
        History()
        .granted(0, "a", 5, mode="permit", limit=2)
        .granted(1, "b", 6, mode="permit", limit=2)
        .granted(2, "c", 7, mode="permit", limit=2),
        ViolationKind.OVERLAP,
    ),
    "a claim that is taken up beside a holder": (
        History().handed(0, "a", 5).granted(0.1, "b", 6).granted(0.2, "a", 5),
        ViolationKind.OVERLAP,
    ),
    "a token given twice": (
        History().granted(0, "a", 5).released(1, "a", 5).granted(2, "b", 5),
        ViolationKind.TOKEN_REPEATED,
    ),
    "the same grant given twice": (
        History().granted(0, "a", 5).granted(1, "a", 5),
        ViolationKind.TOKEN_REPEATED,
    ),
    "a token that falls": (
        History().granted(0, "a", 5).released(1, "a", 5).granted(2, "b", 4),
        ViolationKind.TOKEN_FELL,
    ),
    "a claim with a token that falls": (
        History().granted(0, "a", 5).released(1, "a", 5).handed(2, "b", 4),
        ViolationKind.TOKEN_FELL,
    ),
    "a lease that had ended renewed": (
        History().granted(0, "a", 5, ttl=5).renewed(6, "a", 5),
        ViolationKind.AFTER_LOSS,
    ),
    "a lock taken away given back": (
        History().granted(0, "a", 5).add("forced", 1, "a", 5).released(2, "a", 5),
        ViolationKind.AFTER_LOSS,
    ),
    "an expired lock renewed": (
        History().granted(0, "a", 5, ttl=5).expired(6, "a", 5).renewed(7, "a", 5),
        ViolationKind.AFTER_LOSS,
    ),
    "given back by one who never had it": (
        History().granted(0, "a", 5).released(1, "b", 6),
        ViolationKind.AFTER_LOSS,
    ),
}


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_mistake_is_found(case: str) -> None:
    history, kind = PLANTED[case]

    assert broken(history) == [kind]


def test_every_rule_is_planted_here() -> None:
    assert {kind for _, kind in PLANTED.values()} == set(ViolationKind)


@pytest.mark.parametrize(
    "history",
    [
        History().granted(0, "a", 5, ttl=5).granted(5, "b", 6),
        History().granted(0, "a", 5).add("forced", 1, "a", 5).granted(1, "b", 6),
        History().handed(0, "a", 5).expired(2, "a", 5).handed(2, "b", 6).granted(2.1, "b", 6),
        History().granted(0, "a", 5).released(1, "a", 5).handed(1, "b", 0).granted(2, "b", 6),
        History().granted(0, "a", 5, mode="shared").granted(1, "b", 6, mode="shared"),
        History().granted(0, "a", 5, mode="party", limit=2).granted(0, "b", 6, mode="party"),
        History().granted(0, "a", 5).add("release_refused", 1, "old"),
        History().add("released", 0, "x", 5) and History().waiting(0, "x").add("gave_up", 1, "x"),
    ],
)
def test_what_looks_odd_and_is_not(history: History) -> None:
    assert broken(history) == []


def test_across_a_gap_only_tokens_count() -> None:
    history = History().granted(0, "a", 5)
    history.era = 1
    history.granted(1, "b", 6).granted(2, "c", 4, mode="shared")
    findings, counts = judged(history.events)

    assert [finding.kind for finding in findings] == [
        ViolationKind.TOKEN_FELL,
        ViolationKind.OVERLAP,
    ]
    assert counts.gaps == 1


def test_after_a_snapshot_everything_counts_again() -> None:
    history = History().granted(0, "a", 5)
    history.era = 1
    told = {
        "id": "b",
        "token": 6,
        "mode": "exclusive",
        "limit": 1,
        "owner": "owner-b",
        "since": moment(BEGIN_US).isoformat(),
        "until": moment(BEGIN_US + 30 * SECOND).isoformat(),
        "state": "held",
    }
    history.add("resynced", 1, "", holders=[told], waiters=[]).granted(2, "c", 7)

    assert broken(history) == [ViolationKind.OVERLAP]


def test_what_cannot_be_read_is_counted_and_stops_nothing() -> None:
    history = History().granted(0, "a", 5).add("granted", 1, "b", 6).released(2, "b", 6)
    findings, counts = judged(history.granted(3, "c", 7).events)

    assert counts.unreadable == 1
    assert [finding.kind for finding in findings] == [ViolationKind.OVERLAP]


def test_findings_of_a_resource_are_numbered() -> None:
    history = History()
    for number in range(4):
        history.granted(number, f"c{number}", 10 - number)

    findings, _ = judged(history.events)
    assert [finding.ordinal for finding in findings] == list(range(1, len(findings) + 1))
