"""Truth of what is published with a commit: one row a message, until its queue's store has it.

The rows of one publication go together: the first stands for it, so that whoever has locked that
has them all, and their order is that of their firsts.
"""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class OutboxMessage(models.Model):
    """A message that its transaction has published and its queue's store has not confirmed."""

    # In the order of publishing, within one transaction.
    id = models.BigAutoField(primary_key=True)
    # Of its publication: repeating it puts its messages into the queue once.
    op = models.TextField()
    # Its place among them, and how many they are.
    number = models.IntegerField(default=0)
    size = models.IntegerField(default=1)
    # Id of the first of them; none: it is the first.
    first = models.BigIntegerField(null=True)
    # A digest of them, where the op id was given.
    content = models.TextField(default="")
    message = models.TextField()
    store = models.TextField()
    queue = models.TextField()
    group = models.TextField(default="")
    # What its publisher said the queue is.
    given = models.JSONField()
    # Fields of `Outgoing`.
    outgoing = models.JSONField()
    attempts = models.IntegerField(default=0)
    error = models.TextField(default="")
    created_at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "concord_outbox"
        constraints = (
            models.UniqueConstraint(fields=("op", "number"), name="concord_outbox_once"),
        )
        indexes = (
            models.Index(
                fields=("due_at", "id"),
                condition=models.Q(first=None),
                name="concord_outbox_due",
            ),
            models.Index(
                fields=("queue", "group", "due_at"),
                condition=~models.Q(group=""),
                name="concord_outbox_group",
            ),
        )

    def __str__(self) -> str:
        return f"{self.message} for {self.queue}"
