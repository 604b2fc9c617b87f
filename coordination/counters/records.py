"""Read models of counters: one row a counter for the pages, and one for each further row it has.

Written by the observer alone, from events; they can be dropped and rebuilt. Nothing decides from
them.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class CounterRecord(models.Model):
    """A counter as its events tell it; with `shard`, one of its rows. Times are its store's."""

    key = models.TextField(primary_key=True)
    """``store name``, and behind it the number of a further row: the name of its events, too."""
    counter = models.TextField()
    """The key of the whole."""
    store = models.TextField()
    name = models.TextField()
    shard = models.IntegerField()
    feed_seq = models.BigIntegerField()
    version = models.BigIntegerField()
    """Of the last event of this row."""
    edition = models.BigIntegerField()
    """Of all rows together: it grows with every event."""
    writes = models.BigIntegerField()
    """How often this row was written, by its store's count."""
    # Of all rows together, where it has several; what this row alone knows is in `cell`.
    value = models.BigIntegerField()
    changes = models.BigIntegerField()
    """How many are recorded."""
    changed_at = models.DateTimeField()
    # kind, op_id, before, after, node, actor, reason, count; null when only its state is known.
    last = models.JSONField(null=True)
    # Begin of each five seconds, in seconds of the epoch, and how many changes fell into them.
    rates = models.JSONField()
    rows = models.IntegerField()
    """How many there are."""
    # As its last caller declared it.
    initial = models.BigIntegerField()
    minimum = models.BigIntegerField(null=True)
    maximum = models.BigIntegerField(null=True)
    shards = models.IntegerField()
    disputed = models.TextField()
    """The sentence of a broken rule that nobody has acknowledged; empty when there is none."""
    gap = models.BooleanField()
    """Whether events of it were lost since it was last seen whole."""
    era = models.IntegerField()
    """Of the history its last event is from; every loss of events begins another."""
    cell = models.JSONField()

    class Meta:
        db_table = "concord_counter_record"
        indexes = (
            models.Index(fields=("counter",), name="concord_counterrec_counter"),
            models.Index(
                fields=("-changed_at", "key"),
                condition=Q(shard=0),
                name="concord_counterrec_changed",
            ),
            models.Index(fields=("name",), name="concord_counterrec_name"),
            models.Index(
                fields=("key",), condition=~Q(disputed=""), name="concord_counterrec_dispute"
            ),
        )

    def __str__(self) -> str:
        return self.key


class CounterWatch(models.Model):
    """What the checker of counter histories knows of a row: its own, not the records' word.

    A rebuild of the records leaves it alone: what was judged is not judged again.
    """

    key = models.TextField(primary_key=True)
    version = models.BigIntegerField()
    """Of the last event that was judged."""
    state = models.JSONField()

    class Meta:
        db_table = "concord_counter_watch"

    def __str__(self) -> str:
        return f"{self.key} v{self.version}"
