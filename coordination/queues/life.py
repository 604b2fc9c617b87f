"""Words for the life of a message, as its queue's events tell it. Pure."""

from __future__ import annotations

from enum import StrEnum


class MessageState(StrEnum):
    """Where a message stands in one queue, by the last event that was seen of it."""

    WAITING = "waiting"
    """In the queue and nobody's: ready, or delayed until it is due, which no event tells."""
    IN_FLIGHT = "in_flight"
    """Taken; its lease may have ended since, which is told when somebody asks for messages."""
    ACKED = "acked"
    DEAD = "dead"
    """It went to the dead letter queue, where it has a life of its own."""
    EXPIRED = "expired"
    PURGED = "purged"
    MOVED = "moved"
    """An operator moved it to another queue, or redrove it from its dead letters."""
