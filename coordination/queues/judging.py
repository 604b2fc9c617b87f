"""Pure judgement of queues: does every message have its place, and was none worked on after an ack?

The balance is judged by a census (`census.py`), the rest by the store's own events in the store's
own order. The state kept here is no record's and no store's, so that a mistake there is found here.
Where events are missing nothing is held against anybody: what was known of messages is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from coordination.kernel.events import Event
from coordination.queues.census import Census
from coordination.queues.projection import ids_of
from coordination.queues.types import moment

_EPOCH = moment(0)
_MICROSECOND = timedelta(microseconds=1)
SHOWN_MAX = 20
"""Ids of messages in the evidence of one finding."""


class ViolationKind(StrEnum):
    """Which rule is broken."""

    UNBALANCED = "unbalanced"
    """Messages vanished from a queue, or are there that never came."""
    MISPLACED = "misplaced"
    """Messages are in the queue and stand nowhere, so nobody will be given them."""
    ACKED_TWICE = "acked_twice"
    """An ack was taken of a message that was acked already."""
    AFTER_ACK = "after_ack"
    """A message that was acked was given out, or failed, or came back."""
    TAKEN_TWICE = "taken_twice"
    """A message was given out while somebody else had it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One broken rule with what shows it."""

    key: str
    ordinal: int
    """Counts the findings of a queue, from 1."""
    kind: ViolationKind
    sentence: str
    evidence: Mapping[str, Any]


@dataclass(slots=True, kw_only=True)
class Counts:
    """What was judged: messages, in as many events."""

    events: int = 0
    taken: int = 0
    acked: int = 0
    refused: int = 0
    """Stale receipts, which were refused as they must be."""
    gaps: int = 0
    unreadable: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What is known of one message: who has it, or that it was acked."""

    acked: bool
    attempt: int = 0
    taker: str = ""
    until_us: int = 0
    at_us: int = 0


@dataclass(slots=True)
class Watch:
    """What is known of one queue. JSON by `as_json` and `from_json`, without the marks."""

    key: str
    era: int = 0
    version: int = 0
    """Of the last event, where the store numbers them."""
    found: int = 0
    """How many rules were found broken."""
    missing: int = 0
    """By the last census: that much is known, and found only once."""
    misplaced: int = 0
    came: int = 0
    """Messages that had ever come, by the last census; 0: there was none."""
    published: int = 0
    """Of those, the ones that were published there."""
    generation: int = 0
    """Rises whenever events were lost: marks of an older one are void."""
    marks: dict[str, Mark] = field(default_factory=dict)
    """Of messages, as far as the caller loaded them; acked ones stay, others leave with them."""

    def as_json(self) -> dict[str, Any]:
        """As JSON values, without key and marks."""
        return {column: getattr(self, column) for column in _KEPT}

    @classmethod
    def from_json(cls, key: str, said: Mapping[str, Any]) -> Watch:
        """The watch of what `as_json` gave."""
        return cls(key, **{column: said[column] for column in _KEPT})


_KEPT = (
    *("era", "version", "found", "missing", "misplaced", "came", "published"),
    "generation",
)
_Broken = tuple[ViolationKind, str, dict[str, Any]]


def judge(watch: Watch, event: Event, counts: Counts) -> list[Finding]:
    """Take one event, the next of its queue, into `watch` and `counts`; which rules it breaks."""
    version, era = event.data.get("version", 0), event.data.get("era", 0)
    if not isinstance(version, int) or not isinstance(era, int):
        version, era = watch.version, watch.era
        counts.unreadable += 1
    begun = watch.version > 0 or watch.era > 0
    if era != watch.era or (version and begun and version != watch.version + 1):
        counts.gaps += 1
        forget(watch)
    watch.version, watch.era = version, era
    counts.events += 1
    try:
        broken = list(_RULES.get(event.kind, _nothing)(watch, event, counts))
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        counts.unreadable += 1
        forget(watch)
        return []
    at = event.at.isoformat()
    return [_found(watch, kind, said, {"at": at, **more}) for kind, said, more in broken]


def forget(watch: Watch) -> None:
    """Events were lost, or nobody can read them: what is known of messages may be wrong."""
    watch.marks.clear()
    watch.generation += 1


def weigh(watch: Watch, census: Census, missing_ids: list[str]) -> list[Finding]:
    """Take a census into `watch`; what is broken that was not known to be.

    `missing_ids`: of messages that are not there, as far as they are known.
    """
    watch.came, watch.published = census.came, census.totals.published
    findings = []
    if census.counted and census.missing != watch.missing:
        watch.missing = census.missing
        if census.missing:
            findings.append(_unbalanced(watch, census, missing_ids))
    if census.misplaced != watch.misplaced:
        watch.misplaced = census.misplaced
        if census.misplaced:
            sentence = (
                f"{_messages(abs(census.misplaced))} in the queue and nowhere in its order: "
                "nobody will be given them"
            )
            findings.append(_found(watch, ViolationKind.MISPLACED, sentence, _sum(census)))
    return findings


def rolled_back(watch: Watch, census: Census) -> bool:
    """Whether the store has forgotten what it once said: it was restored, restarted or flushed."""
    return census.came < watch.came or 0 < census.version < watch.version


def _unbalanced(watch: Watch, census: Census, missing_ids: list[str]) -> Finding:
    shown = missing_ids[:SHOWN_MAX]
    if census.missing > 0:
        named = f": {', '.join(shown)}" if shown else ""
        sentence = (
            f"{_messages(census.missing)} gone though nobody acked, buried, purged or moved "
            f"{'it' if census.missing == 1 else 'them'}{named}"
        )
    else:
        sentence = f"{_messages(-census.missing)} in the queue that never came to it"
    return _found(watch, ViolationKind.UNBALANCED, sentence, _sum(census) | {"messages": shown})


def _messages(number: int) -> str:
    return "1 message is" if number == 1 else f"{number} messages are"


def _sum(census: Census) -> dict[str, Any]:
    return {"at": moment(census.at_us).isoformat(), "census": census.as_json()}


def _found(
    watch: Watch, kind: ViolationKind, sentence: str, evidence: Mapping[str, Any]
) -> Finding:
    watch.found += 1
    return Finding(
        key=watch.key, ordinal=watch.found, kind=kind, sentence=sentence, evidence=evidence
    )


# The rules, by event.


def _nothing(_watch: Watch, _event: Event, _counts: Counts) -> Iterator[_Broken]:
    return iter(())


def _came(watch: Watch, event: Event, _counts: Counts) -> Iterator[_Broken]:
    """It is another one from here on, even where it has the id of one that was acked."""
    for id_ in ids_of(event):
        watch.marks.pop(id_, None)
    return iter(())


def _taken(watch: Watch, event: Event, counts: Counts) -> Iterator[_Broken]:
    ids, until_us = ids_of(event), int(event.data["until"])
    attempts = event.data["attempts"]
    taker, at_us = str(event.data.get("op", "")), _us(event.at)
    counts.taken += len(ids)
    for id_, attempt in zip(ids, attempts, strict=True):
        known = watch.marks.get(id_)
        mark = Mark(acked=False, attempt=int(attempt), taker=taker, until_us=until_us, at_us=at_us)
        if known is not None and known.acked:
            yield _after_ack(id_, known, event, f"given out again (attempt {attempt})")
        elif known is not None and known.taker != taker:
            yield (
                ViolationKind.TAKEN_TWICE,
                f"message {id_} was given out at {_time(event)} while another call had it",
                {"message": id_, "had": asdict(known), "taken": asdict(mark)},
            )
        watch.marks[id_] = mark


def _extended(watch: Watch, event: Event, _counts: Counts) -> Iterator[_Broken]:
    for id_ in ids_of(event):
        known = watch.marks.get(id_)
        if known is not None and known.acked:
            yield _after_ack(id_, known, event, "extended")


def _acked(watch: Watch, event: Event, counts: Counts) -> Iterator[_Broken]:
    at_us = _us(event.at)
    ids = ids_of(event)
    counts.acked += len(ids)
    for id_ in ids:
        known = watch.marks.get(id_)
        if known is not None and known.acked:
            yield (
                ViolationKind.ACKED_TWICE,
                f"message {id_} was acked at {_clock(known)} and again at {_time(event)}",
                {"message": id_, "acked": asdict(known)},
            )
        attempt = 0 if known is None else known.attempt
        taker = "" if known is None else known.taker
        watch.marks[id_] = Mark(acked=True, attempt=attempt, taker=taker, at_us=at_us)


def _let_go(watch: Watch, event: Event, _counts: Counts) -> Iterator[_Broken]:
    """Nobody has it any more, or it left the queue otherwise than by an ack."""
    for id_ in ids_of(event):
        known = watch.marks.get(id_)
        if known is not None and known.acked:
            yield _after_ack(id_, known, event, event.kind.removeprefix("message."))
        else:
            watch.marks.pop(id_, None)


def _refused(_watch: Watch, event: Event, counts: Counts) -> Iterator[_Broken]:
    counts.refused += len(ids_of(event))
    return iter(())


def _after_ack(id_: str, known: Mark, event: Event, what: str) -> _Broken:
    return (
        ViolationKind.AFTER_ACK,
        f"message {id_} was {what} at {_time(event)} though it was acked at {_clock(known)}",
        {"message": id_, "acked": asdict(known), "event": event.kind},
    )


def _us(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _time(event: Event) -> str:
    return f"{event.at:%H:%M:%S.%f}"


def _clock(mark: Mark) -> str:
    return f"{moment(mark.at_us):%H:%M:%S.%f}"


_RULES: dict[str, Callable[[Watch, Event, Counts], Iterator[_Broken]]] = {
    "message.published": _came,
    "message.buried": _came,
    "message.arrived": _came,
    "message.redriven": _came,
    "message.taken": _taken,
    "message.extended": _extended,
    "message.acked": _acked,
    "message.retried": _let_go,
    "message.released": _let_go,
    "message.lapsed": _let_go,
    "message.died": _let_go,
    "message.expired": _let_go,
    "message.purged": _let_go,
    "message.moved": _let_go,
    "message.refused": _refused,
}
