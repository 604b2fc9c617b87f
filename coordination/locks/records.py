"""Read models of locks: one row a resource for the pages, one row a grant for their history.

Written by the observer alone, from events; they can be dropped and rebuilt. Nothing decides from
them. Semaphores, elections and barriers are rows of the same tables.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from coordination.locks.types import Kind


class LockRecord(models.Model):
    """A resource as its events tell it. Times are its store's; leases end by `until` unsaid."""

    key = models.TextField(primary_key=True)
    """``store kind name``: the name of its events, too."""
    store = models.TextField()
    kind = models.TextField(choices=[(kind.value, kind.value) for kind in Kind])
    name = models.TextField()
    feed_seq = models.BigIntegerField()
    version = models.IntegerField()
    # Each: id, mode, limit, state (held, handed), owner, context, node, metadata, token, since,
    # until, renewed_at, renewals, waited_ms, revoked_at, revoke_reason.
    holders = models.JSONField()
    # Each: id, mode, limit, owner, context, node, metadata, since; in the order of the queue.
    waiters = models.JSONField()
    holding = models.IntegerField()
    waiting = models.IntegerField()
    owner = models.TextField()
    """Of the first holder; empty when nobody holds it."""
    token = models.BigIntegerField()
    """The last one given."""
    until = models.DateTimeField(null=True)
    """When the last of its leases ends; null when nobody holds it."""
    waiting_since = models.DateTimeField(null=True)
    """Since when the first in its queue waits."""
    # What it was last used for, and how: so that a free one can be told from one that ran out.
    last_end = models.TextField()
    """How the last grant ended: released, expired, forced, or unseen (its end was among events that
    were lost); empty when none has."""
    changed_at = models.DateTimeField()
    """When a holder or waiter came, went or was asked for it back; renewals change nothing."""
    hold_ms_p95 = models.IntegerField(null=True)
    """Of its last grants."""
    disputed = models.TextField()
    """The sentence of a broken rule that nobody has acknowledged; empty when there is none."""
    gap = models.BooleanField()
    """Whether events of it were lost since it was last seen whole."""
    era = models.IntegerField(default=0)
    """Of the history its last event is from; every loss of events begins another."""
    # How long its last grants were held, milliseconds.
    held_ms = models.JSONField(default=list)
    # Its last grants that ended, each: id, token, owner. So that a refused release is known.
    former = models.JSONField(default=list)

    class Meta:
        db_table = "concord_lock_record"
        indexes = (
            models.Index(fields=("kind", "name"), name="concord_lockrec_name"),
            models.Index(
                fields=("-waiting", "key"), condition=Q(waiting__gt=0), name="concord_lockrec_queue"
            ),
            models.Index(
                fields=("until",), condition=Q(until__isnull=False), name="concord_lockrec_until"
            ),
            models.Index(fields=("owner",), name="concord_lockrec_owner"),
            models.Index(fields=("-changed_at", "key"), name="concord_lockrec_changed"),
            models.Index(fields=("key",), condition=Q(gap=True), name="concord_lockrec_gap"),
            models.Index(
                fields=("key",), condition=~Q(disputed=""), name="concord_lockrec_dispute"
            ),
        )

    def __str__(self) -> str:
        return self.key


class LockGrant(models.Model):
    """One grant of a resource, from its token to its end."""

    key = models.TextField()
    """Of its resource."""
    request = models.TextField()
    token = models.BigIntegerField()
    mode = models.TextField()
    owner = models.TextField()
    context = models.TextField()
    asked_at = models.DateTimeField(null=True)
    granted_at = models.DateTimeField()
    until = models.DateTimeField()
    """When its lease would end, or ended."""
    renewals = models.IntegerField(default=0)
    ended_at = models.DateTimeField(null=True)
    ended = models.TextField(default="")
    """How: released, expired, forced, unseen; empty while it is held."""
    actor = models.TextField(default="")
    reason = models.TextField(default="")

    class Meta:
        db_table = "concord_lock_grant"
        constraints = (
            models.UniqueConstraint(fields=("key", "token"), name="concord_lockgrant_token"),
        )
        indexes = (
            models.Index(fields=("key", "-granted_at"), name="concord_lockgrant_key"),
            models.Index(fields=("granted_at",), name="concord_lockgrant_at"),
        )

    def __str__(self) -> str:
        return f"{self.key} {self.token}"


class LockRefusal(models.Model):
    """A former holder that was refused: its release, its renewal, or its write at the resource.

    Writes are told by the process that was refused (`stale_writes`), as no store has events of
    them; so a rebuild leaves them alone.
    """

    key = models.TextField()
    """Of the resource; empty for a write whose token did not say of which lock it was."""
    at = models.DateTimeField()
    what = models.TextField()
    """``release``, or the resource that refused a write, e.g. ``shop.Order 88197``."""
    token = models.BigIntegerField()
    newer = models.BigIntegerField(null=True)
    """The token that had written already."""
    owner = models.TextField(default="")

    class Meta:
        db_table = "concord_lock_refusal"
        indexes = (
            models.Index(fields=("key", "-at"), name="concord_lockrefusal_key"),
            models.Index(fields=("at",), name="concord_lockrefusal_at"),
        )

    def __str__(self) -> str:
        return f"{self.key} {self.token}"


class LockDeadlock(models.Model):
    """A cycle of waits that was found, and how it was ended."""

    at = models.DateTimeField()
    cycle = models.JSONField()
    """Each: context, owner, waits_for (key), held_by (context), since."""
    victim = models.TextField()
    rule = models.TextField()

    class Meta:
        db_table = "concord_lock_deadlock"
        indexes = (models.Index(fields=("-at",), name="concord_lockdeadlock_at"),)

    def __str__(self) -> str:
        return f"{self.victim} at {self.at}"


class LockWatch(models.Model):
    """What the checker of mutual exclusion knows of a resource: its own, not the records' word.

    A rebuild of the records leaves it alone: what was judged is not judged again.
    """

    key = models.TextField(primary_key=True)
    version = models.IntegerField()
    """Of the last event that was judged."""
    state = models.JSONField()

    class Meta:
        db_table = "concord_lock_watch"

    def __str__(self) -> str:
        return f"{self.key} v{self.version}"
