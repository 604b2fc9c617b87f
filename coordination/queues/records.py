"""Read models of queues: a row a queue, its rates by the time, a row a message with its life.

Written by `concord observe` alone. What comes of events (messages and their lives, `events`,
`event_at`) can be dropped and rebuilt; what comes of asking the store (all that `sampled_at` dates,
and the buckets) begins anew with the next sample. Nothing decides from them. Times are those of the
queue's store, but for `seen_at`.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from coordination.queues.life import MessageState

_NOTHING = models.Value({}, output_field=models.JSONField())


class QueueRecord(models.Model):
    """A queue as its store says it stands; a dead letter queue is a queue like any other."""

    key = models.TextField(primary_key=True)
    """``store name``."""
    store = models.TextField()
    name = models.TextField()

    # Sampled, all at one moment of the store.
    sampled_at = models.DateTimeField(null=True)
    """By the store's clock; null: its store was not asked yet, and it is known by events alone."""
    seen_at = models.DateTimeField(null=True)
    """The same by the clock of the records' database: how old the sample is."""
    ready = models.BigIntegerField(db_default=0)
    """Messages that may be taken now, or when those before them in their group are done."""
    grouped = models.BigIntegerField(db_default=0)
    """Of `ready`, those that wait for one of their group."""
    delayed = models.BigIntegerField(db_default=0)
    """Messages that may not be taken before a time of theirs."""
    in_flight = models.BigIntegerField(db_default=0)
    """Messages that were taken and not settled; of RabbitMQ 0, since each process knows its own."""
    dead = models.BigIntegerField(db_default=0)
    """Messages in its dead letter queue, from whatever queue."""
    oldest_at = models.DateTimeField(null=True)
    """When the first of the ready ones was published; null: there is none, or it is not known."""
    publishing_paused = models.BooleanField(db_default=False)
    consuming_paused = models.BooleanField(db_default=False)
    max_length = models.BigIntegerField(null=True)
    """Messages that it holds at most; null: no bound."""
    dead_letter = models.TextField(db_default="")
    """Name of the queue that keeps its dead letters; empty: it has none."""
    options = models.JSONField(db_default=_NOTHING)
    """What it was declared to be: `visibility_ms`, `max_attempts`, `dead_letter`, `max_length`."""
    extra = models.JSONField(db_default=_NOTHING)
    """What only its kind of store tells; values are JSON."""
    # Messages since it was first used, exact whatever became of events; null where nobody counts.
    # published + moved_in + redriven = acked + died + expired + purged + moved_out
    #     + ready + delayed + in_flight
    published = models.BigIntegerField(null=True)
    acked = models.BigIntegerField(null=True)
    died = models.BigIntegerField(null=True)
    """Went from here to the dead letters."""
    expired = models.BigIntegerField(null=True)
    purged = models.BigIntegerField(null=True)
    moved_in = models.BigIntegerField(null=True)
    """Of a dead letter queue, letters that came count here."""
    moved_out = models.BigIntegerField(null=True)
    """Of a dead letter queue, letters that were redriven count here."""
    redriven = models.BigIntegerField(null=True)
    delivered = models.BigIntegerField(null=True)
    """Attempts."""
    lapsed = models.BigIntegerField(null=True)
    """Attempts whose taker said nothing in time."""

    # Folded from events.
    feed_seq = models.BigIntegerField(db_default=0)
    """Of its last event in the feed; 0: none was seen."""
    event_at = models.DateTimeField(null=True)
    """When its last event happened."""
    events = models.BigIntegerField(db_default=0)
    """How many were seen. Each is of one call, and so of one or of many messages."""
    retried = models.BigIntegerField(db_default=0)
    """Failed attempts that are tried again, as far as events tell."""
    refused = models.BigIntegerField(db_default=0)
    """Stale receipts that were refused, as far as events tell."""

    # The auditor's word.
    gap_at = models.DateTimeField(null=True)
    """When it was last found that events of it were lost: messages' lives may lack some. By the
    clock of the records' database."""
    disputed = models.TextField(db_default="")
    """The sentence of a broken rule that nobody has acknowledged; empty when there is none."""

    class Meta:
        db_table = "concord_queue_record"
        indexes = (
            models.Index(fields=("store", "name"), name="concord_queuerec_name"),
            models.Index(fields=("-event_at", "key"), name="concord_queuerec_event"),
            models.Index(
                fields=("key",), condition=~Q(disputed=""), name="concord_queuerec_dispute"
            ),
        )

    def __str__(self) -> str:
        return self.key


class QueueBucket(models.Model):
    """What a queue's totals rose by during some seconds, and how it stood last within them.

    A bucket that is not there was not sampled. Counts are null where the store counts nothing, and
    in the first bucket after a time in which nobody looked: what came then has no place in time.
    """

    key = models.TextField()
    """Of its queue."""
    start = models.DateTimeField()
    """It lasts `sampling.BUCKET_S` seconds from then, by the clock of the records' database."""
    published = models.BigIntegerField(null=True)
    """Messages that came: published, moved here, redriven."""
    delivered = models.BigIntegerField(null=True)
    """Attempts."""
    acked = models.BigIntegerField(null=True)
    died = models.BigIntegerField(null=True)
    expired = models.BigIntegerField(null=True)
    lapsed = models.BigIntegerField(null=True)
    ready = models.BigIntegerField(db_default=0)
    delayed = models.BigIntegerField(db_default=0)
    in_flight = models.BigIntegerField(db_default=0)
    oldest_ms = models.BigIntegerField(null=True)
    """Since when the first ready one waited; null: there was none, or it is not known."""

    class Meta:
        db_table = "concord_queue_bucket"
        constraints = (
            models.UniqueConstraint(fields=("key", "start"), name="concord_queuebucket_once"),
        )
        indexes = (models.Index(fields=("start",), name="concord_queuebucket_start"),)

    def __str__(self) -> str:
        return f"{self.key} {self.start:%H:%M:%S}"


class MessageRecord(models.Model):
    """A message in one queue, as far as events were seen; its body stays in the store.

    Where one call took or published very many messages only the first of them are told of
    (`projection.LIVES_OF_A_CALL`), and where events were lost some are missing in its life.
    """

    key = models.TextField()
    """Of its queue."""
    message = models.TextField()
    """Its id, which it keeps when it dies, is moved or is redriven: then it has a row in each."""
    state = models.TextField(choices=[(state.value, state.value) for state in MessageState])
    attempts = models.IntegerField(db_default=0)
    """In this queue, the one under way included."""
    priority = models.SmallIntegerField(null=True)
    """0 to 9, the highest; null: not known, and mostly 0."""
    group = models.TextField(db_default="")
    """Those of one group are taken one after the other; empty: none, or not known."""
    taker = models.TextField(db_default="")
    """Op of the call that took it last, which its receipt holds, too."""
    node = models.TextField(db_default="")
    """The service whose process took it last."""
    published_at = models.DateTimeField(null=True)
    """When it came to this queue; null: that was not seen."""
    due_at = models.DateTimeField(null=True)
    """Before which it may not be taken, of one that waits; null: none, or not known."""
    taken_at = models.DateTimeField(null=True)
    """When it was taken last."""
    until = models.DateTimeField(null=True)
    """When its lease ends, of one in flight."""
    ended_at = models.DateTimeField(null=True)
    """When it was acked, died, expired, was purged or moved away; null: it is in the queue."""
    error = models.TextField(db_default="")
    """What went wrong last."""
    source = models.TextField(db_default="")
    """The queue that it came from: where it died, or was moved from; empty: it was published."""
    went_to = models.TextField(db_default="")
    """The queue that it went to: dead letters, or where it was moved."""
    changed_at = models.DateTimeField()
    """When its last event happened."""
    event_id = models.BigIntegerField()
    """Of that one."""
    # Each: event (its id, which orders them), at, kind (`published`, `taken`, `retried`, …),
    # node, op, and where they are known: attempt, until, error, to, source, actor, reason, lapsed.
    # The last `projection.LIFE_KEPT`.
    life = models.JSONField()

    class Meta:
        db_table = "concord_message_record"
        constraints = (
            # The id comes first, so that this finds all the queues that it has been in.
            models.UniqueConstraint(fields=("message", "key"), name="concord_messagerec_once"),
        )
        # Only of what never changes, so that an update of a row touches no index.
        indexes = (models.Index(fields=("key", "-id"), name="concord_messagerec_key"),)

    def __str__(self) -> str:
        return f"{self.key} {self.message} {self.state}"


class QueueWatch(models.Model):
    """What the checker of the queue balance knows of a queue: its own, not the records' word.

    A rebuild of the records leaves it alone: what was judged is not judged again.
    """

    key = models.TextField(primary_key=True)
    state = models.JSONField()

    class Meta:
        db_table = "concord_queue_watch"

    def __str__(self) -> str:
        return self.key


class WatchedMessage(models.Model):
    """What the checker knows of a message: who has it and until when, or that it was acked."""

    key = models.TextField()
    message = models.TextField()
    generation = models.IntegerField()
    """Of its queue's watch; of an older one it is void, since events were lost."""
    acked = models.BooleanField()
    attempt = models.IntegerField()
    taker = models.TextField()
    until_us = models.BigIntegerField()
    at_us = models.BigIntegerField()
    """Of the event that told it."""

    class Meta:
        db_table = "concord_queue_watched"
        constraints = (
            models.UniqueConstraint(fields=("key", "message"), name="concord_queuewatched_once"),
        )

    def __str__(self) -> str:
        return f"{self.key} {self.message}"
