"""What events tell of messages, and when queues are looked at."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from coordination.kernel.events import Event
from coordination.queues.projection import LIFE_KEPT, LIVES_OF_A_CALL, Life, apply, fold
from coordination.queues.rounds import BUSY_S, IDLE_S, SHARE, Rounds

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


def event(kind: str, *ids: str, number: int = 1, **data: Any) -> Event:
    return Event(
        kind=kind,
        object="queue",
        name=f"redis a {number}.1",
        version=1,
        at=AT,
        node="orders",
        data={"ids": list(ids), "op": "op1", **data},
    )


def lives(*events: Event) -> dict[str, dict[str, Any]]:
    found: dict[tuple[str, str], Life] = {}
    for number, each in enumerate(events, 1):
        fold(found, each, number)
    return {message: life.as_row() for (_, message), life in found.items()}


def test_a_life_has_all_that_befell_a_message_in_order() -> None:
    row = lives(
        event("message.published", "m", priorities=[3], groups=["g"], dues=[0]),
        event("message.taken", "m", attempts=[1], until=2_000_000),
        event("message.retried", "m", errors=['"boom"'], dues=[5_000_000]),
    )["m"]

    assert [each["kind"] for each in row["life"]] == ["published", "taken", "retried"]
    assert (row["state"], row["priority"], row["group"]) == ("waiting", 3, "g")
    assert (row["attempts"], row["taker"], row["error"]) == (1, "op1", "boom")
    assert row["due_at"] == "1970-01-01T00:00:05+00:00"
    assert row["until"] is None
    assert row["life"][1]["attempt"] == 1


def test_an_attempt_that_was_given_back_does_not_count() -> None:
    taken = event("message.taken", "m", attempts=[2], until=1)
    assert lives(taken, event("message.released", "m"))["m"]["attempts"] == 1
    alone = lives(event("message.released", "m"))["m"]
    assert (alone["less"], "attempts" in alone) == (1, False)


def test_a_message_that_comes_again_begins_a_new_life_with_its_old_story() -> None:
    row = lives(
        event("message.taken", "m", attempts=[5], until=1),
        event("message.died", "m", error='"x"', to="a.dlq"),
        event("message.redriven", "m", source="a.dlq"),
    )["m"]
    assert (row["state"], row["attempts"], row["source"]) == ("waiting", 0, "a.dlq")
    assert (row["ended_at"], row["went_to"]) == (None, "")
    assert len(row["life"]) == 3


def test_a_refusal_alone_tells_of_nobody() -> None:
    assert lives(event("message.refused", "made-up"))["made-up"]["known_only"] is True


def test_what_a_later_version_tells_otherwise_changes_nothing() -> None:
    row = lives(event("message.taken", "m", attempts=[], until="soon"))["m"]
    assert (row["known_only"], "state" in row) == (True, False)
    assert lives(event("message.sung", "m")) == {}
    assert lives(event("message.acked")) == {}


def test_of_large_calls_the_first_messages_and_of_long_lives_the_last_events_are_kept() -> None:
    ids = [f"m{number}" for number in range(LIVES_OF_A_CALL + 5)]
    assert list(lives(event("message.published", *ids))) == ids[:LIVES_OF_A_CALL]
    assert len(lives(event("message.died", *ids))) == len(ids)
    assert len(lives(*[event("message.retried", "m")] * 50)["m"]["life"]) == LIFE_KEPT


def test_an_event_in_short_says_whose_and_how_many() -> None:
    shown = apply(event("message.acked", "a", "b"), 7).shown()
    assert shown == {
        "key": "redis a",
        "store": "redis",
        "name": "a",
        "what": "message.acked",
        "count": 2,
        "feed_seq": 7,
    }


def test_busy_queues_are_looked_at_often_idle_ones_rarely_and_slow_ones_seldom() -> None:
    rounds = Rounds()
    assert rounds.due(["a", "b", "c"], 0.0, most=2) == ["a", "b"]
    rounds.looked("a", 0.0, took_s=0.0, seen=1)
    rounds.looked("b", 0.0, took_s=1.0, seen=1)
    assert rounds.due(["a", "b", "c"], 0.5, most=9) == ["c"]
    rounds.looked("c", 0.5, took_s=0.0, seen=None)
    assert rounds.due(["a", "b", "c"], BUSY_S, most=9) == ["a"]
    rounds.looked("a", BUSY_S, took_s=0.0, seen=1)
    assert rounds.due(["a", "b", "c"], 3 * BUSY_S, most=9) == []
    assert rounds.due(["a", "b", "c"], 1 / SHARE, most=9) == ["c", "a", "b"]
    assert IDLE_S > BUSY_S


def test_a_queue_that_is_gone_is_forgotten() -> None:
    rounds = Rounds()
    rounds.looked("a", 0.0, took_s=0.0, seen=1)
    assert rounds.due([], 0.0, most=9) == []
    assert rounds.due(["a"], 0.0, most=9) == ["a"]
