"""Where a continuation stands."""

from enum import StrEnum


class Form(StrEnum):
    """What becomes of the grant."""

    RUN = "run"
    """The worker runs the task, renews the lease meanwhile, and gives the lock back after it."""
    THEN = "then"
    """The task is sent with the token; giving the lock back is its own business."""


class State(StrEnum):
    """One step follows the other; each is a compare-and-set of its row."""

    WAITING = "waiting"
    """In the queue of its lock."""
    GRANTED = "granted"
    """It has the lock; its message is on the way."""
    RUNNING = "running"
    """A worker began: no copy of the message begins again."""
    DONE = "done"
    FAILED = "failed"
    """The task raised, or its worker died too often."""
    TIMED_OUT = "timed_out"
    """Its wait ended before its turn came."""
