"""Read models of transactions: one row each for the pages, and roll-ups for the rates.

Written by the observer alone, from events; they can be dropped and rebuilt. Nothing decides from
them.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from coordination.transactions.projection import State


class TransactionRecord(models.Model):
    """A transaction as its events tell it, with one sentence on what it waits for."""

    gid = models.TextField(primary_key=True)
    feed_seq = models.BigIntegerField()
    version = models.IntegerField()
    name = models.TextField()
    protocol = models.TextField()
    node = models.TextField()
    key = models.TextField(null=True)
    state = models.TextField(choices=[(state.value, state.value) for state in State])
    outcome = models.TextField(null=True)
    reason = models.TextField()
    heuristic = models.TextField()
    branches = models.JSONField()
    begun_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField(null=True)
    decided_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    waits_for = models.TextField()
    gap = models.BooleanField()

    class Meta:
        db_table = "concord_transaction_record"
        indexes = (
            models.Index(fields=("-begun_at", "-gid"), name="concord_txrecord_begun"),
            models.Index(fields=("state", "-begun_at"), name="concord_txrecord_state"),
            models.Index(fields=("name", "-begun_at"), name="concord_txrecord_name"),
            models.Index(
                fields=("begun_at",),
                condition=Q(ended_at__isnull=True),
                name="concord_txrecord_open",
            ),
            models.Index(
                fields=("-begun_at",), condition=~Q(heuristic=""), name="concord_txrecord_heur"
            ),
        )

    def __str__(self) -> str:
        return f"{self.gid} {self.state}"


class RollUp(models.Model):
    """Counts and times of one bucket of 5 seconds of the coordinator database's clock."""

    bucket = models.DateTimeField(primary_key=True)
    begun = models.IntegerField(default=0)
    committed = models.IntegerField(default=0)
    aborted = models.IntegerField(default=0)
    ended = models.IntegerField(default=0)
    # Begun to decided, of the transactions decided in this bucket.
    decide_ms_sum = models.BigIntegerField(default=0)
    decide_ms_max = models.IntegerField(default=0)
    # Decided to ended: how long participants could disagree, of those ended in this bucket.
    window_ms_sum = models.BigIntegerField(default=0)
    window_ms_max = models.IntegerField(default=0)

    class Meta:
        db_table = "concord_rollup"

    def __str__(self) -> str:
        return f"{self.bucket:%H:%M:%S}"
