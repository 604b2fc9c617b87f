"""Which histories and censuses of a queue break a rule, and which do not."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coordination.kernel.events import Event
from coordination.queues.census import Census
from coordination.queues.judging import (
    Counts,
    Finding,
    Mark,
    ViolationKind,
    Watch,
    judge,
    rolled_back,
    weigh,
)
from coordination.queues.types import Totals

BEGUN = datetime(2026, 11, 23, 12, tzinfo=UTC)


class History:
    """Events of one queue, one a second."""

    def __init__(self, *, numbered: bool = True) -> None:
        self.watch, self.counts = Watch("redis a"), Counts()
        self.findings: list[Finding] = []
        self._numbered, self._number, self._version = numbered, 0, 0
        self.era = 0

    def tell(self, what: str, *ids: str, **data: Any) -> History:
        self._number += 1
        self._version += 1
        at = BEGUN + timedelta(seconds=self._number)
        if what == "taken":
            data = {"attempts": [1] * len(ids), "until": 10**18, "op": f"op{self._number}"} | data
        version = {"version": self._version} if self._numbered else {}
        event = Event(
            kind=f"message.{what}",
            object="queue",
            name=f"redis a {self._number}",
            version=1,
            at=at,
            node="n",
            data={"ids": list(ids), "era": self.era} | version | data,
        )
        self.findings += judge(self.watch, event, self.counts)
        return self

    def skip(self) -> History:
        """An event was lost."""
        self._version += 1
        return self

    @property
    def kinds(self) -> list[ViolationKind]:
        return [each.kind for each in self.findings]


def told(words: Iterable[str]) -> History:
    history = History()
    for word in words:
        history.tell(word, "m")
    return history


@pytest.mark.parametrize(
    "words",
    [
        "published taken acked",
        "published taken retried taken acked",
        "published taken lapsed taken acked",
        "published taken released taken extended acked",
        "published taken died",
        "published expired",
        "published purged",
        "published moved arrived taken acked",
        "buried taken acked",
        "published taken acked published taken acked",
        "published taken acked refused",
        "taken acked",
        "acked",
    ],
)
def test_what_queues_do_breaks_nothing(words: str) -> None:
    assert told(words.split()).kinds == []


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("published taken acked acked", ViolationKind.ACKED_TWICE),
        ("published taken acked taken", ViolationKind.AFTER_ACK),
        ("published taken acked retried", ViolationKind.AFTER_ACK),
        ("published taken acked lapsed", ViolationKind.AFTER_ACK),
        ("published taken acked died", ViolationKind.AFTER_ACK),
        ("published taken acked extended", ViolationKind.AFTER_ACK),
        ("published taken acked moved", ViolationKind.AFTER_ACK),
        ("published taken taken", ViolationKind.TAKEN_TWICE),
    ],
)
def test_an_effect_after_an_ack_or_two_takers_at_once_are_found(
    words: str, kind: ViolationKind
) -> None:
    history = told(words.split())
    (finding,) = history.findings

    assert finding.kind is kind
    assert "message m " in finding.sentence
    assert finding.ordinal == 1


def test_each_message_of_a_call_is_judged_by_itself() -> None:
    history = History().tell("taken", "a", "b", "c").tell("acked", "a", "b").tell("acked", "b", "c")

    assert history.kinds == [ViolationKind.ACKED_TWICE]
    assert "message b " in history.findings[0].sentence
    assert (history.counts.taken, history.counts.acked) == (3, 4)


def test_nothing_is_held_against_anybody_across_a_gap() -> None:
    history = told(["published", "taken", "acked"]).skip().tell("taken", "m").tell("acked", "m")
    assert (history.kinds, history.counts.gaps) == ([], 1)
    history.era = 1
    history.tell("acked", "m")
    assert (history.kinds, history.counts.gaps) == ([], 2)
    history.tell("acked", "m")
    assert history.kinds == [ViolationKind.ACKED_TWICE]


def test_where_nobody_numbers_events_none_is_missed() -> None:
    history = History(numbered=False).tell("published", "m").skip().tell("taken", "m")
    assert (history.counts.gaps, history.kinds) == (0, [])


def test_a_history_may_begin_anywhere() -> None:
    history = History()
    history.skip().skip().tell("acked", "m")
    assert (history.counts.gaps, history.kinds) == (0, [])


def test_what_nobody_can_read_voids_what_was_known_and_ends_nothing() -> None:
    history = told(["published", "taken", "acked"])
    history.tell("taken", "m", attempts="what")
    assert (history.kinds, history.counts.unreadable, history.watch.marks) == ([], 1, {})


def test_a_watch_survives_as_json() -> None:
    watch = told(["published", "taken"]).watch
    watch.missing, watch.came = 2, 7
    again = Watch.from_json("redis a", watch.as_json())

    assert again.marks == {}
    assert again.as_json() == watch.as_json()
    assert watch.marks["m"] == Mark(
        acked=False, attempt=1, taker="op2", until_us=10**18, at_us=watch.marks["m"].at_us
    )


def census(**changed: Any) -> Census:
    totals = {word: changed.pop(word) for word in list(changed) if word in Totals.__annotations__}
    values = {"held": 0, "at_us": 1_000_000, "store": "redis", "queue": "a"} | changed
    return Census(**{"placed": values["held"], **values}, totals=Totals(**totals))


@pytest.mark.parametrize(
    "counted",
    [
        census(),
        census(published=5, acked=3, held=2),
        census(published=5, dead=1, expired=1, purged=1, moved_out=1, held=1),
        census(moved_in=3, redriven=1, moved_out=2, acked=1, held=1),
        census(published=5, held=5, placed=5, version=9),
    ],
)
def test_a_queue_that_adds_up_breaks_nothing(counted: Census) -> None:
    assert weigh(Watch("redis a"), counted, []) == []


def test_a_message_that_is_missing_is_found_once_and_named() -> None:
    watch = Watch("redis a")
    (finding,) = weigh(watch, census(published=5, acked=3, held=1), ["m1"])

    assert finding.kind is ViolationKind.UNBALANCED
    assert finding.sentence.endswith("moved it: m1")
    assert finding.evidence["census"]["missing"] == 1
    assert weigh(watch, census(published=6, acked=3, held=2), []) == []
    (second,) = weigh(watch, census(published=6, acked=3, held=1), [])
    assert second.ordinal == 2


def test_a_message_too_many_is_found() -> None:
    (finding,) = weigh(Watch("redis a"), census(published=1, held=3), [])
    assert finding.sentence == "2 messages are in the queue that never came to it"


def test_a_message_that_stands_nowhere_is_found() -> None:
    (finding,) = weigh(Watch("redis a"), census(published=2, held=2, placed=1), [])
    assert finding.kind is ViolationKind.MISPLACED


def test_what_could_not_be_counted_is_not_held_against_it() -> None:
    assert weigh(Watch("redis a"), census(published=9, held=3, counted=False), []) == []


def test_a_store_that_says_less_than_before_has_forgotten() -> None:
    watch = Watch("redis a", version=9)
    weigh(watch, census(published=5, held=5, version=9), [])

    assert not rolled_back(watch, census(published=6, held=6, version=10))
    assert rolled_back(watch, census(published=4, held=4, version=8))
    assert rolled_back(watch, census())
