"""What the observer needs of a primitive to keep its records; each primitive brings its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from coordination.connections.database import Statement
from coordination.kernel.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One event with its feed position and the object's record before and after it."""

    seq: int
    event_id: int
    event: Event
    before: Any
    after: Any


class Projection(Protocol):
    """Records of one kind of object. Statements run in the observer's one transaction."""

    @property
    def object(self) -> str:
        """Which events it folds, by their `object`."""

    @property
    def pruned(self) -> bool:
        """Whether old events are deleted, so that a history may begin with any version."""

    def load(self, using: str, names: Sequence[str]) -> Mapping[str, Any]:
        """The records of `names` that exist."""

    def version(self, record: Any) -> int:
        """The version of its object a record stands at."""

    def apply(self, record: Any, event: Event, seq: int) -> Any:
        """The record after `event`, which the feed carries at `seq`. Pure."""

    def row(self, record: Any) -> dict[str, Any]:
        """The record as JSON values, as the feed carries it."""

    def save(self, steps: Sequence[Step]) -> list[Statement]:
        """Statements that bring records, roll-ups and interventions to after `steps`."""

    def clear(self) -> list[Statement]:
        """Statements that drop everything `save` writes, before a rebuild."""

    def prune(self) -> list[Statement]:
        """Statements that drop some of what is past its retention."""
