"""Truth of continuations: in the coordinator's database, so that no process has to live on."""

from __future__ import annotations

from django.db import models
from django.db.models import Func, Q

from coordination.locks.continuations.types import Form, State
from coordination.locks.types import KEPT_MS, Kind, Mode, Request, Resource

_NOW = Func(function="clock_timestamp", output_field=models.DateTimeField())
_OPEN = Q(state__in=[State.WAITING, State.GRANTED, State.RUNNING])


class Continuation(models.Model):
    """A Celery task that waits for a lock."""

    id = models.TextField(primary_key=True)
    """Made of the op id: the same call queues once."""
    form = models.TextField(choices=[(form.value, form.value) for form in Form])
    state = models.TextField(choices=[(state.value, state.value) for state in State])
    store = models.TextField()
    name = models.TextField()
    mode = models.TextField()
    ttl_ms = models.BigIntegerField()
    owner = models.TextField()
    context = models.TextField()
    metadata = models.TextField()
    signature = models.JSONField()
    on_timeout = models.JSONField(null=True)
    deadline_at = models.DateTimeField(null=True)
    # Counts the times it asked for the lock anew, since a worker died or none came.
    attempt = models.IntegerField(default=1)
    token = models.BigIntegerField(null=True)
    # Which process keeps its place in the queue, and until when another leaves it alone.
    keeper = models.TextField(default="")
    keeper_until = models.DateTimeField(db_default=_NOW)
    # Whether what its state asks for was sent.
    told = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=_NOW)
    changed_at = models.DateTimeField(db_default=_NOW)
    error = models.TextField(default="")

    class Meta:
        db_table = "concord_continuation"
        indexes = (
            models.Index(fields=("created_at",), condition=_OPEN, name="concord_continuation_open"),
            models.Index(
                fields=("changed_at",), condition=Q(told=False), name="concord_continuation_untold"
            ),
        )

    def __str__(self) -> str:
        return f"{self.id} {self.state}"

    def request(self) -> Request:
        """The call by which it asks for the lock; an attempt has an id of its own."""
        return Request(
            resource=Resource(Kind.LOCK, self.name),
            id=f"{self.id}-{self.attempt}",
            mode=Mode(self.mode),
            ttl_ms=self.ttl_ms,
            owner=self.owner,
            context=self.context,
            metadata=self.metadata,
            kept_ms=KEPT_MS,
        )
