"""Truth of sweeps: what an operator ordered, and how far it has come."""

from __future__ import annotations

from enum import StrEnum

from django.db import models
from django.db.models.functions import Now


class Verb(StrEnum):
    """What is done to the messages."""

    REDRIVE = "redrive"
    """Dead letters of the queue go back to it."""
    PURGE = "purge"
    """They are thrown away."""
    MOVE = "move"
    """They go to another queue."""


class SweepState(StrEnum):
    """How a sweep stands."""

    RUNNING = "running"
    """Not done yet; with an `error` it is tried again."""
    DONE = "done"
    STOPPED = "stopped"
    """Somebody stopped it, or nobody can say whether its last step was made; it may go on."""
    FAILED = "failed"
    """Nothing more can come of it."""


class QueueSweep(models.Model):
    """A sweep of a queue that an operator ordered, from its order to its end; it is kept."""

    # Chosen by who asks: asked for again, it is the same sweep.
    op = models.TextField(primary_key=True)
    verb = models.TextField(choices=[(verb.value, verb.value) for verb in Verb])
    store = models.TextField()
    # Which the messages are of: with a redrive the one they died in.
    queue = models.TextField()
    # With a move where they go; else empty.
    to = models.TextField(default="")
    # So many were shown when it was ordered; it falls on no more.
    at_most = models.BigIntegerField()
    # So many at least: of a step whose process died, nobody may have heard.
    done = models.BigIntegerField(default=0)
    steps = models.IntegerField(default=0)
    # As the store counts; the first step freezes the set.
    cursor = models.TextField(null=True)
    state = models.TextField(choices=[(state.value, state.value) for state in SweepState])
    # Of the last step, if it failed.
    error = models.TextField(default="")
    failures = models.IntegerField(default=0)
    # Begun where it cannot be made again, and not heard of since.
    stepping = models.BooleanField(default=False)
    actor = models.TextField()
    reason = models.TextField()
    ended_by = models.TextField(default="")
    began_at = models.DateTimeField(db_default=Now())
    stepped_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "concord_queue_sweep"
        indexes = (
            models.Index(
                fields=("due_at",),
                condition=models.Q(state="running"),
                name="concord_queue_sweep_due",
            ),
            models.Index(fields=("store", "queue", "-began_at"), name="concord_queue_sweep_of"),
        )

    def __str__(self) -> str:
        return f"{self.verb} {self.queue} {self.state}"
