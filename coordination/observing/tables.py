"""Truth of the observation side: the events the SQL stores record and the observer's cursor.

Events are inserted by the SQL functions that change an object, in the same transaction as the
change; nothing here writes them. The observer alone sets `seq` and moves the cursor.
"""

from __future__ import annotations

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Func, Q


class Event(models.Model):
    """One fact a store recorded about one object; never changed but for its feed position."""

    id = models.BigAutoField(primary_key=True)
    # Ids are given before commit, so they do not order the feed; `seq` does.
    seq = models.BigIntegerField(null=True, editable=False)
    kind = models.TextField()
    object = models.TextField()
    name = models.TextField()
    # A lock that is fought over gets thousands a second.
    version = models.BigIntegerField()
    at = models.DateTimeField(
        db_default=Func(function="clock_timestamp", output_field=models.DateTimeField())
    )
    node = models.TextField(db_default="")
    actor = models.TextField(db_default="")
    data = models.JSONField(default=dict)

    class Meta:
        db_table = "concord_event"
        constraints = (
            models.UniqueConstraint(
                fields=("object", "name", "version"), name="concord_event_version"
            ),
            models.UniqueConstraint(
                fields=("seq",), condition=Q(seq__isnull=False), name="concord_event_seq"
            ),
        )
        indexes = (
            models.Index(
                fields=("id",), condition=Q(seq__isnull=True), name="concord_event_unsequenced"
            ),
            # Events are kept; should a project prune them, it prunes by age.
            BrinIndex(fields=("at",), name="concord_event_at"),
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.name} v{self.version}"


class Cursor(models.Model):
    """How far an observer came; `UPDATE … WHERE seq = old` on it is the fence between observers."""

    name = models.TextField(primary_key=True)
    seq = models.BigIntegerField(default=0)
    # Changes when the feed was lost; a reader that sees another epoch takes a new snapshot.
    epoch = models.TextField()
    updated_at = models.DateTimeField(
        db_default=Func(function="clock_timestamp", output_field=models.DateTimeField())
    )

    class Meta:
        db_table = "concord_cursor"

    def __str__(self) -> str:
        return f"{self.name} at {self.seq}"
