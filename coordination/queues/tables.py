"""Truth of queues in a database store: written by its SQL functions, in SQLite by its store alone.

Every time is in microseconds of the store's clock.
"""

from __future__ import annotations

from enum import IntEnum

from django.db import models
from django.db.models import F, Q


class Stage(IntEnum):
    """Where a message stands."""

    READY = 0
    DELAYED = 1
    ARRIVED = 2
    """One of a group, of which nobody has seen yet whether it is the first."""
    BEHIND = 3
    """Behind one of its group, which is ready, delayed or taken."""
    TAKEN = 4


class QueueRow(models.Model):
    """A queue, and what it was declared to be."""

    id = models.BigAutoField(primary_key=True)
    name = models.TextField(unique=True)
    declaration = models.TextField()
    publishing_paused = models.BooleanField(default=False)
    consuming_paused = models.BooleanField(default=False)
    # SQLite counts messages here; PostgreSQL has a sequence, which nobody waits for.
    last_seq = models.BigIntegerField(db_default=0)

    class Meta:
        db_table = "concord_queue"

    def __str__(self) -> str:
        return self.name


class QueueMessage(models.Model):
    """A message, for as long as its queue holds it."""

    pk = models.CompositePrimaryKey("queue_id", "stage", "sort", "seq")
    queue_id = models.BigIntegerField()
    stage = models.SmallIntegerField()
    # READY: 9 - priority, -1 for a suspect. DELAYED: when it is due. TAKEN: when its lease ends.
    sort = models.BigIntegerField()
    # In the order of coming to the queue it is in.
    seq = models.BigIntegerField()
    message = models.TextField()
    body = models.TextField()
    headers = models.TextField()
    priority = models.SmallIntegerField()
    grp = models.TextField()
    published_us = models.BigIntegerField()
    due_us = models.BigIntegerField()
    expires_us = models.BigIntegerField()
    attempts = models.IntegerField()
    # Op of the `reserve` that has it.
    taken_by = models.TextField()
    suspect = models.BooleanField()
    # Of a dead letter: the queue it died in.
    source = models.TextField()
    # JSON, on one line.
    error = models.TextField()

    class Meta:
        db_table = "concord_queue_message"
        # Each index is written with each step of a message: those of what is rare are partial. All
        # but the primary key begin with an expression, so that the statements choose their index
        # and no planner does, whose statistics are of a queue that was empty. Not `> ''`, which
        # SQLite would take for a range to search: it would look at all groups of the queue.
        indexes = (
            models.Index(F("seq") + 0, condition=Q(taken_by__gt=""), name="concord_queue_taken"),
            models.Index(
                F("queue_id") + 0,
                "grp",
                "stage",
                "seq",
                condition=~Q(grp=""),
                name="concord_queue_group",
            ),
            models.Index(
                F("queue_id") + 0,
                "expires_us",
                condition=Q(expires_us__gt=0, taken_by=""),
                name="concord_queue_expiring",
            ),
            models.Index(
                F("queue_id") + 0,
                "source",
                "seq",
                condition=~Q(source=""),
                name="concord_queue_source",
            ),
        )

    def __str__(self) -> str:
        return self.message


class QueueTally(models.Model):
    """What some calls have added to a queue's totals: rows of their own, which nobody waits for.

    Several are made one from time to time; the totals are their sum.
    """

    id = models.BigAutoField(primary_key=True)
    queue_id = models.BigIntegerField()
    published = models.BigIntegerField(db_default=0)
    acked = models.BigIntegerField(db_default=0)
    dead = models.BigIntegerField(db_default=0)
    expired = models.BigIntegerField(db_default=0)
    purged = models.BigIntegerField(db_default=0)
    moved_in = models.BigIntegerField(db_default=0)
    moved_out = models.BigIntegerField(db_default=0)
    redriven = models.BigIntegerField(db_default=0)
    delivered = models.BigIntegerField(db_default=0)
    lapsed = models.BigIntegerField(db_default=0)

    class Meta:
        db_table = "concord_queue_tally"
        indexes = (models.Index(fields=("queue_id",), name="concord_queue_tally_queue"),)

    def __str__(self) -> str:
        return f"queue {self.queue_id}"


class QueueAnswer(models.Model):
    """What a call was told, for its repetitions."""

    pk = models.CompositePrimaryKey("queue_id", "op")
    queue_id = models.BigIntegerField()
    op = models.TextField()
    said = models.TextField()
    until_us = models.BigIntegerField()

    class Meta:
        db_table = "concord_queue_answer"
        indexes = (models.Index(fields=("until_us",), name="concord_queue_answer_until"),)

    def __str__(self) -> str:
        return self.op


class QueueDedup(models.Model):
    """The first message of a dedup id."""

    pk = models.CompositePrimaryKey("queue_id", "dedup")
    queue_id = models.BigIntegerField()
    dedup = models.TextField()
    message = models.TextField()
    until_us = models.BigIntegerField()

    class Meta:
        db_table = "concord_queue_dedup"
        indexes = (models.Index(fields=("until_us",), name="concord_queue_dedup_until"),)

    def __str__(self) -> str:
        return self.dedup


class QueueWaiter(models.Model):
    """A call that waits for a message, and where its process hears of one."""

    pk = models.CompositePrimaryKey("queue_id", "op")
    queue_id = models.BigIntegerField()
    op = models.TextField()
    channel = models.TextField()
    until_us = models.BigIntegerField()

    class Meta:
        db_table = "concord_queue_waiter"

    def __str__(self) -> str:
        return self.op


class QueueHold(models.Model):
    """Room of a queue in SQLite for what an undecided transaction may publish. PostgreSQL has none:
    there the publication is a part of what is prepared."""

    pk = models.CompositePrimaryKey("queue_id", "branch")
    queue_id = models.BigIntegerField()
    branch = models.TextField()
    messages = models.IntegerField()
    at_us = models.BigIntegerField()

    class Meta:
        db_table = "concord_queue_hold"

    def __str__(self) -> str:
        return f"{self.messages} for {self.branch}"


class QueueEvent(models.Model):
    """One change of a queue in SQLite; PostgreSQL has it among those of all objects."""

    id = models.BigAutoField(primary_key=True)
    kind = models.TextField()
    name = models.TextField()
    at_us = models.BigIntegerField()
    node = models.TextField()
    data = models.TextField()

    class Meta:
        db_table = "concord_queue_event"

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"
