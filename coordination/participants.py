"""Index of Concord's own participants, so that every process finds them. No logic."""

from coordination.counters import participants as counters
from coordination.queues import participants as queues

__all__ = ["counters", "queues"]
