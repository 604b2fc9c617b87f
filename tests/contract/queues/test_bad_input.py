"""Bad input is told by its value and rule, and changes nothing."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coordination import Message, queue
from coordination.exceptions import InvalidArgument, InvalidName, NotSupportedByStore
from coordination.queues.api import Queue
from coordination.queues.types import Capability


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (object(), "object"),
        ({"n": math.nan}, "nan"),
        ({1: "x"}, "keys must be str"),
        ({"n": 2**53}, "beyond"),
        (b"bytes", "bytes"),
        ("\ud800", "surrogate"),
        ("x" * (256 * 1024), "limit is 262144"),
        ({"when": datetime.now(UTC)}, "datetime"),
    ],
)
def test_a_body_that_is_no_json_or_too_large_is_refused(q: Queue, body: Any, word: str) -> None:
    with pytest.raises(InvalidArgument, match=word):
        q.publish_many(["good", body])
    assert q.stats().held == 0


@pytest.mark.parametrize(
    ("options", "word", "capability"),
    [
        ({"delay": -1}, "delay must be 0 or more", Capability.DELAY),
        ({"delay": math.nan}, "delay", Capability.DELAY),
        ({"delay": math.inf}, "delay", Capability.DELAY),
        ({"delay": "soon"}, "delay", Capability.DELAY),
        ({"delay": timedelta(days=4000)}, "366 days", Capability.DELAY),
        ({"delay": 1, "eta": datetime.now(UTC)}, "not both", Capability.DELAY),
        ({"eta": datetime.now()}, "time zone", Capability.DELAY),  # noqa: DTZ005
        ({"eta": "tomorrow"}, "eta", Capability.DELAY),
        ({"priority": 10}, "priority must be an int from 0 to 9", Capability.PRIORITY),
        ({"priority": -1}, "priority", Capability.PRIORITY),
        ({"priority": True}, "priority", Capability.PRIORITY),
        ({"priority": 1.5}, "priority", Capability.PRIORITY),
        ({"expires": 0}, "expires must be more than 0", Capability.EXPIRY),
        ({"group": ""}, "group", Capability.GROUPS),
        ({"group": "two words"}, "group", Capability.GROUPS),
        ({"dedup_id": 5}, "dedup_id", Capability.DEDUP),
        ({"headers": ["x"]}, "headers must be a dict", None),
        ({"headers": {"x": object()}}, "headers", None),
        ({"ttl": 5}, "ttl", None),
        ({"op_id": ""}, "op_id", None),
        ({"op_id": 5}, "op_id", None),
        ({"op_id": "\ud800"}, "op_id must be text", None),
        ({"within": "nowhere"}, "no atomic", None),
    ],
)
def test_bad_options_of_a_message_are_refused(
    q: Queue, options: dict[str, Any], word: str, capability: Capability | None
) -> None:
    able = capability is None or capability in q.store.capabilities
    expected = InvalidArgument if able else NotSupportedByStore
    with pytest.raises((expected, InvalidName), match=word if able else None):
        q.publish("x", **options)
    assert q.stats().held == 0


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"visibility": 0}, "visibility must be more than 0"),
        ({"visibility": -1}, "visibility"),
        ({"visibility": math.nan}, "visibility"),
        ({"visibility": timedelta(days=2)}, "86400 seconds"),
        ({"max_attempts": 0}, "max_attempts must be an int from 1"),
        ({"max_attempts": True}, "max_attempts"),
        ({"max_length": 0}, "max_length"),
        ({"dead_letter": "two words"}, "dead_letter"),
        ({"timeout": 5}, "visibility="),
        ({"visibilty": 5}, "visibility"),
    ],
)
def test_bad_options_of_a_queue_are_refused_at_once(
    made: Callable[..., Queue], given: dict[str, Any], word: str
) -> None:
    with pytest.raises((InvalidArgument, InvalidName, NotSupportedByStore), match=word):
        made(**given)


@pytest.mark.parametrize("name", ["", "two words", "a{b}", "x" * 201, 5, None, "a*"])
def test_bad_names_are_refused_at_once(using: str, name: Any) -> None:
    with pytest.raises(InvalidName):
        queue(name, using=using)


def test_a_queue_is_not_its_own_dead_letter_queue(using: str, name: str) -> None:
    with pytest.raises(InvalidArgument, match="another queue"):
        queue(name, using=using, dead_letter=name)


def test_bad_counts_and_waits_are_refused(q: Queue) -> None:
    picks = Capability.PICK in q.store.capabilities
    for call in (
        lambda: q.reserve(0),
        lambda: q.reserve(1001),
        lambda: q.reserve(1.5),  # type: ignore[arg-type]
        lambda: q.reserve(wait=-1),
        lambda: next(q.consume(batch=0)),
        lambda: q.run(print, concurrency=0),
        lambda: q.publish_many(range(1001)),
        lambda: q.purge(limit=0),
        lambda: q.purge(reason=5),  # type: ignore[arg-type]
        *(lambda id_=id_: q.redrive(only=id_) for id_ in ("", "two words", 5) if picks),
    ):
        with pytest.raises(InvalidArgument):
            call()
    assert q.publish_many([]) == []
    q.ack([])


def test_what_a_store_cannot_do_is_refused_before_anything_is_sent(q: Queue) -> None:
    able = q.store.capabilities
    options: dict[Capability, dict[str, Any]] = {
        Capability.PRIORITY: {"priority": 1},
        Capability.DELAY: {"delay": 1},
        Capability.GROUPS: {"group": "g"},
        Capability.DEDUP: {"dedup_id": "d"},
        Capability.EXPIRY: {"expires": 1},
    }
    for capability, given in options.items():
        if capability not in able:
            with pytest.raises(NotSupportedByStore):
                q.publish_many([Message("x"), Message("y", **given)])
    verbs: dict[Capability, Callable[[], object]] = {
        Capability.PEEK: q.peek,
        Capability.PAUSE: q.pause,
        Capability.MOVE: lambda: q.move("elsewhere"),
        Capability.EXTEND: lambda: q.extend("1.a.b"),
        Capability.PICK: lambda: q.purge(only="a-message"),
    }
    for capability, verb in verbs.items():
        if capability not in able:
            with pytest.raises(NotSupportedByStore):
                verb()
    assert q.stats().held == 0
