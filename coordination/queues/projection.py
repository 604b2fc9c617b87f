"""Pure: what an event of a queue tells of the queue, and of each of its messages.

Events of one message come in the order of their causes, and so do their ids. What follows from an
event never depends on what was known before, so a history may begin and have holes anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from coordination.kernel.events import Event
from coordination.queues.events import key_of_event
from coordination.queues.life import MessageState
from coordination.queues.types import moment

LIVES_OF_A_CALL: Final = 20
"""Of the messages that one call published, took or acked, so many of the first begin a life."""
LIFE_KEPT: Final = 40
"""Events of one message's life, the last ones."""
_OF_MANY: Final = frozenset({"message.taken", "message.acked"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One event of a queue in short, as the feed carries it."""

    key: str
    what: str
    count: int
    """Of how many messages."""
    feed_seq: int

    def shown(self) -> dict[str, Any]:
        """As JSON values. How the queue stands is sampled, and not told by its events."""
        store, _, name = self.key.partition(" ")
        return {
            "key": self.key,
            "store": store,
            "name": name,
            "what": self.what,
            "count": self.count,
            "feed_seq": self.feed_seq,
        }


@dataclass(slots=True)
class Life:
    """What events tell of one message in one queue: columns that they set, and its life."""

    key: str
    message: str
    event_id: int = 0
    changed_at: str = ""
    known_only: bool = True
    """Whether nothing is to be told of it unless it is known."""
    less: int = 0
    """How many of its attempts do not count."""
    columns: dict[str, Any] = field(default_factory=dict)
    life: list[dict[str, Any]] = field(default_factory=list)

    def as_row(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "key": self.key,
            "message": self.message,
            "event_id": self.event_id,
            "changed_at": self.changed_at,
            "known_only": self.known_only,
            "less": self.less,
            "life": self.life[-LIFE_KEPT:],
            **self.columns,
        }


def ids_of(event: Event) -> list[str]:
    """The ids of the messages that the event is about; none where nobody can read them."""
    ids = event.data.get("ids")
    if not isinstance(ids, Sequence) or isinstance(ids, str):
        return []
    return [each for each in ids if isinstance(each, str)]


def apply(event: Event, seq: int) -> Told:
    """The event in short."""
    return Told(
        key=key_of_event(event.name), what=event.kind, count=len(ids_of(event)), feed_seq=seq
    )


def fold(lives: dict[tuple[str, str], Life], event: Event, event_id: int) -> None:
    """Take what an event tells of its messages into `lives`, by queue and id."""
    change = _CHANGES.get(event.kind)
    if change is None:
        return
    key, ids = key_of_event(event.name), ids_of(event)
    if event.kind == "message.published":
        ids = ids[:LIVES_OF_A_CALL]
    for index, message in enumerate(ids):
        life = lives.setdefault((key, message), Life(key, message))
        try:
            changed = change(event, index)
        except (KeyError, IndexError, TypeError, ValueError, OverflowError):
            changed = {}  # A later version told it otherwise.
        # Beyond those nobody's life begins, but what is told of a life has to go on.
        begins = index < LIVES_OF_A_CALL or event.kind not in _OF_MANY
        life.known_only = life.known_only and not (changed and begins)
        _take(life, event, changed)
        life.event_id, life.changed_at = event_id, event.at.isoformat()
        life.life.append(_entry(event, event_id, changed, index))


def _take(life: Life, event: Event, changed: Mapping[str, Any]) -> None:
    if event.kind in _BEGINNINGS:
        life.columns.clear()
        life.less = 0
    if event.kind == "message.released":
        if "attempts" in life.columns:
            life.columns["attempts"] -= 1
        else:
            life.less += 1
    if "attempts" in changed:
        life.less = 0
    life.columns.update(changed)


def _entry(event: Event, event_id: int, changed: Mapping[str, Any], index: int) -> dict[str, Any]:
    data, said = event.data, event.data.get("said")
    entry = {
        "event": event_id,
        "at": event.at.isoformat(),
        "kind": event.kind.removeprefix("message."),
        "node": event.node,
        "op": data.get("op", ""),
    }
    if event.kind == "message.taken" and "attempts" in changed:
        entry["attempt"] = changed["attempts"]
    for word in ("until", "error", "due_at"):
        if changed.get(word):
            entry[word] = changed[word]
    for word in ("to", "source", "lapsed"):
        if data.get(word):
            entry[word] = data[word]
    if isinstance(said, Mapping):
        entry |= {word: said[word] for word in ("actor", "reason") if said.get(word)}
    return entry


# What each kind of event changes. Columns that are not named stay as they are.

_Change = Callable[[Event, int], dict[str, Any]]


def _came(event: Event, index: int) -> dict[str, Any]:
    data = event.data
    source = data.get("source", "")
    return {
        "state": MessageState.WAITING,
        "attempts": 0,
        "taker": "",
        "error": "",
        "source": source if isinstance(source, str) else "",
        "went_to": "",
        "published_at": event.at.isoformat(),
        "due_at": _time(_of(data, "dues", index)),
        "until": None,
        "ended_at": None,
        **_known(priority=_of(data, "priorities", index), group=_of(data, "groups", index)),
    }


def _taken(event: Event, index: int) -> dict[str, Any]:
    return {
        "state": MessageState.IN_FLIGHT,
        "attempts": int(event.data["attempts"][index]),
        "taker": str(event.data.get("op", "")),
        "node": event.node,
        "taken_at": event.at.isoformat(),
        "due_at": None,
        "until": _time(event.data["until"]),
        "ended_at": None,
    }


def _extended(event: Event, _index: int) -> dict[str, Any]:
    return {
        "state": MessageState.IN_FLIGHT,
        "due_at": None,
        "until": _time(event.data["until"]),
        "ended_at": None,
    }


def _back(event: Event, index: int) -> dict[str, Any]:
    return {
        "state": MessageState.WAITING,
        "due_at": _time(_of(event.data, "dues", index)),
        "until": None,
        "ended_at": None,
        **_known(error=_error(event.data, index)),
    }


def _ended(state: MessageState) -> _Change:
    def change(event: Event, index: int) -> dict[str, Any]:
        return {
            "state": state,
            "due_at": None,
            "until": None,
            "ended_at": event.at.isoformat(),
            "went_to": str(event.data.get("to", "")),
            **_known(error=_error(event.data, index)),
        }

    return change


def _refused(_event: Event, _index: int) -> dict[str, Any]:
    return {}


def _of(data: Mapping[str, Any], word: str, index: int) -> Any:
    """Of a list beside the ids what is said of this one; None where there is no such list."""
    values = data.get(word)
    return values[index] if isinstance(values, Sequence) and not isinstance(values, str) else None


def _error(data: Mapping[str, Any], index: int) -> str:
    """What went wrong, which stores keep as JSON on one line; '' where they do not say."""
    packed = _of(data, "errors", index) or data.get("error")
    if not packed:
        return ""
    # What PostgreSQL cannot store: NUL, and halves of a surrogate pair.
    told = str(json.loads(packed)).replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return told.encode(errors="replace").decode()


def _known(**columns: Any) -> dict[str, Any]:
    return {column: value for column, value in columns.items() if value not in (None, "")}


def _time(microseconds: Any) -> str | None:
    return moment(int(microseconds)).isoformat() if microseconds else None


_BEGINNINGS: Final = frozenset(
    {"message.published", "message.buried", "message.arrived", "message.redriven"}
)
_CHANGES: Final[Mapping[str, _Change]] = {
    **dict.fromkeys(_BEGINNINGS, _came),
    "message.taken": _taken,
    "message.extended": _extended,
    "message.retried": _back,
    "message.released": _back,
    "message.lapsed": _back,
    "message.acked": _ended(MessageState.ACKED),
    "message.died": _ended(MessageState.DEAD),
    "message.expired": _ended(MessageState.EXPIRED),
    "message.purged": _ended(MessageState.PURGED),
    "message.moved": _ended(MessageState.MOVED),
    "message.refused": _refused,
}


def intervention(event: Event, event_id: int) -> dict[str, Any] | None:
    """The row of what an operator did, with the op of the call it was a step of; else None."""
    said = event.data.get("said")
    if event.kind not in _ACTIONS or not isinstance(said, Mapping):
        return None
    actor = said.get("actor") or event.actor
    if not actor:
        return None
    return {
        "event_id": event_id,
        "at": event.at.isoformat(),
        "actor": actor,
        "action": _ACTIONS[event.kind],
        "object": event.object,
        "name": key_of_event(event.name),
        "reason": said.get("reason") or "",
        "op": str(event.data.get("op", "")).partition("-")[0] or str(event_id),
    }


_ACTIONS: Final = {
    "queue.paused": "pause",
    "message.purged": "purge",
    "message.moved": "move",
    "message.redriven": "redrive",
}
