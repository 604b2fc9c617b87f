"""One fact a store recorded."""

# ruff: noqa: TRY004  a malformed message is bad input: ValueError

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One fact a store recorded about one object."""

    kind: str
    """What happened: ``<noun>.<past participle>``, e.g. ``branch.voted``."""
    object: str
    """What kind of thing it happened to, e.g. ``transaction``."""
    name: str
    """Which one, e.g. the gid."""
    version: int
    """Version of that object after the fact; gapless, from 1."""
    at: datetime
    """When, by the store's clock; aware."""
    node: str
    actor: str = ""
    """The person who caused it; empty when no person did."""
    data: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def as_json(self) -> dict[str, Any]:
        """Return the event as JSON-ready values, the time in ISO 8601."""
        return {
            "kind": self.kind,
            "object": self.object,
            "name": self.name,
            "version": self.version,
            "at": self.at.isoformat(),
            "node": self.node,
            "actor": self.actor,
            "data": dict(self.data),
        }


def parse_event(row: Mapping[str, object]) -> Event:
    """Return the event of a row or message with the fields of ``Event``; others are ignored.

    Raises:
        ValueError: a field is missing or of the wrong type.
    """
    data = row.get("data") or {}
    if not isinstance(data, Mapping):
        raise ValueError(f"data of an event must be a mapping, not {data!r:.80}")
    return Event(
        kind=_text(row, "kind"),
        object=_text(row, "object"),
        name=_text(row, "name"),
        version=_version(row),
        at=_moment(row),
        node=_text(row, "node"),
        actor=_text(row, "actor", default=""),
        data=MappingProxyType(dict(data)),
    )


def _text(row: Mapping[str, object], key: str, *, default: str | None = None) -> str:
    value = row.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise ValueError(f"{key} of an event must be a str, not {value!r:.80}")
    return value


def _version(row: Mapping[str, object]) -> int:
    value = row.get("version")
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"version of an event must be an int from 1, not {value!r:.80}")
    return value


def _moment(row: Mapping[str, object]) -> datetime:
    value = row.get("at")
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise ValueError(f"at of an event must be an aware time, not {value!r:.80}")
    return moment
