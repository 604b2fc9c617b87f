"""Truth of what is published with a commit: one row a message, until its queue's store has it."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class OutboxMessage(models.Model):
    """A message that its transaction has published and its queue's store has not confirmed."""

    # In the order of publishing, within one transaction.
    id = models.BigAutoField(primary_key=True)
    # Names the publication as well: repeating it puts it into the queue once.
    message = models.TextField(unique=True)
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
        indexes = (models.Index(fields=("due_at", "id"), name="concord_outbox_due"),)

    def __str__(self) -> str:
        return f"{self.message} for {self.queue}"
