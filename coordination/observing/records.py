"""Read models that every primitive shares: verdicts with their violations, and interventions.

An auditor keeps the verdicts, the observer the interventions. `Violation` outlives a rebuild: its
acknowledgement is an operator's word and stands nowhere else.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Func, Q

from coordination.observing.types import VerdictState

_NOW = Func(function="clock_timestamp", output_field=models.DateTimeField())


class Verdict(models.Model):
    """What a checker can say about one promise now, and on what evidence.

    A reader treats a row whose `checked_at` is older than twice `period_s` as UNPROVEN, whatever
    `state` says: a checker that died cannot turn its own tile grey.
    """

    name = models.TextField(primary_key=True)
    state = models.TextField(choices=[(state.value, state.value) for state in VerdictState])
    reason = models.TextField(default="")
    checked = models.BigIntegerField(default=0)
    violations = models.IntegerField(default=0)
    acknowledged = models.IntegerField(default=0)
    window_start = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    period_s = models.FloatField()
    evidence = models.JSONField(default=dict)

    class Meta:
        db_table = "concord_verdict"

    def __str__(self) -> str:
        return f"{self.name} {self.state}"


class Violation(models.Model):
    """One broken rule with the rows that show it; open until somebody acknowledges it."""

    verdict = models.TextField()
    gid = models.TextField()
    branch_seq = models.SmallIntegerField(default=0)
    kind = models.TextField()
    sentence = models.TextField()
    evidence = models.JSONField(default=dict)
    found_at = models.DateTimeField(db_default=_NOW)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.TextField(default="")
    acknowledged_reason = models.TextField(default="")

    class Meta:
        db_table = "concord_violation"
        constraints = (
            models.UniqueConstraint(
                fields=("verdict", "gid", "branch_seq", "kind"), name="concord_violation_once"
            ),
        )
        indexes = (
            models.Index(
                fields=("verdict", "-found_at"),
                condition=Q(acknowledged_at__isnull=True),
                name="concord_violation_open",
            ),
            models.Index(fields=("gid",), name="concord_violation_gid"),
        )

    def __str__(self) -> str:
        return f"{self.kind} in {self.gid}"


class Intervention(models.Model):
    """What an operator did by hand, folded from the event that recorded it."""

    event_id = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    actor = models.TextField()
    action = models.TextField()
    object = models.TextField()
    name = models.TextField()
    reason = models.TextField(default="")

    class Meta:
        db_table = "concord_intervention"
        indexes = (
            models.Index(fields=("-at",), name="concord_intervention_at"),
            models.Index(fields=("object", "name"), name="concord_intervention_name"),
        )

    def __str__(self) -> str:
        return f"{self.action} {self.name} by {self.actor}"
