"""Messages and sweeps of a queue as its pages show them. Pure but for the types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from coordination.queues.declaring import DEAD_LETTER_SUFFIX
from coordination.queues.records import MessageRecord
from coordination.queues.sweeps.tables import QueueSweep
from dashboard.rows import epoch_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRow:
    """A message in one queue, as far as events told of it."""

    key: str
    message: str
    state: str
    attempts: int
    priority: int | None
    group: str
    taker: str
    node: str
    published_ms: int | None
    due_ms: int | None
    taken_ms: int | None
    until_ms: int | None
    ended_ms: int | None
    error: str
    source: str
    went_to: str
    changed_ms: int
    life: tuple[Mapping[str, Any], ...]

    @classmethod
    def read(cls, row: MessageRecord) -> Self:
        """From the record."""
        return cls(
            key=row.key,
            message=row.message,
            state=row.state,
            attempts=row.attempts,
            priority=row.priority,
            group=row.group,
            taker=row.taker,
            node=row.node,
            published_ms=epoch_ms(row.published_at),
            due_ms=epoch_ms(row.due_at),
            taken_ms=epoch_ms(row.taken_at),
            until_ms=epoch_ms(row.until),
            ended_ms=epoch_ms(row.ended_at),
            error=row.error,
            source=row.source,
            went_to=row.went_to,
            changed_ms=epoch_ms(row.changed_at) or 0,
            life=tuple(row.life),
        )

    @property
    def store(self) -> str:
        """Alias of its store."""
        return self.key.partition(" ")[0]

    @property
    def queue(self) -> str:
        """Name of the queue it is in, or was."""
        return self.key.partition(" ")[2]

    @property
    def shown(self) -> str:
        """Its state in words: where somebody must look at it, that it is a dead letter."""
        letter = self.state == "waiting" and self.queue.endswith(DEAD_LETTER_SUFFIX)
        return "letter" if letter else self.state

    @property
    def lease_ms(self) -> int | None:
        """How long its lease is."""
        if self.until_ms is None or self.taken_ms is None:
            return None
        return self.until_ms - self.taken_ms

    def wire(self) -> dict[str, Any]:
        """As JSON, without its life."""
        return {
            "id": self.message,
            "key": self.key,
            "state": self.shown,
            "attempts": self.attempts,
            "priority": self.priority,
            "group": self.group,
            "taker": self.taker,
            "node": self.node,
            "published": self.published_ms,
            "due": self.due_ms,
            "taken": self.taken_ms,
            "until": self.until_ms,
            "lease": self.lease_ms,
            "ended": self.ended_ms,
            "error": self.error,
            "source": self.source,
            "went_to": self.went_to,
            "changed": self.changed_ms,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRow:
    """A redrive, a purge or a move that somebody ordered."""

    op: str
    verb: str
    to: str
    at_most: int
    done: int
    state: str
    error: str
    actor: str
    reason: str
    ended_by: str
    begun: bool
    began_ms: int
    stepped_ms: int
    ended_ms: int | None

    @classmethod
    def read(cls, row: QueueSweep) -> Self:
        """From its row."""
        return cls(
            op=row.op,
            verb=row.verb,
            to=row.to,
            at_most=row.at_most,
            done=row.done,
            state=row.state,
            error=row.error,
            actor=row.actor,
            reason=row.reason,
            ended_by=row.ended_by,
            begun=row.steps > 0,
            began_ms=epoch_ms(row.began_at) or 0,
            stepped_ms=epoch_ms(row.stepped_at) or 0,
            ended_ms=epoch_ms(row.ended_at),
        )

    def wire(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "op": self.op,
            "verb": self.verb,
            "to": self.to,
            "at_most": self.at_most,
            "done": self.done,
            "state": self.state,
            "error": self.error,
            "actor": self.actor,
            "reason": self.reason,
            "ended_by": self.ended_by,
            "begun": self.begun,
            "began": self.began_ms,
            "stepped": self.stepped_ms,
            "ended": self.ended_ms,
        }
