"""Truth of distributed transactions: rows the engine reads and decides from.

`Transaction` and `Branch` live in the coordinator's database, `Witness` and `Barrier` in the
database of every participant. Only the SQL functions of migration 0002 and the branch modes write
them; everybody else reads.
"""

from django.db import models

from coordination.transactions.types import ROW, Actual, Form, Heuristic, Mode, Outcome, Vote


def _choices(enum: type) -> list[tuple[str, str]]:
    return [(member.value, member.value.replace("_", " ")) for member in enum]  # type: ignore[attr-defined]


class Transaction(models.Model):
    """One global transaction. `outcome` is its write-once register, frozen by a trigger."""

    gid = models.CharField(primary_key=True, max_length=64)
    name = models.CharField(max_length=200)
    protocol = models.CharField(max_length=8)
    node = models.CharField(max_length=16)
    key = models.CharField(max_length=200, null=True)
    digest = models.CharField(max_length=64)
    outcome = models.CharField(max_length=9, null=True, choices=_choices(Outcome))
    reason = models.TextField(default="")
    decided_by = models.CharField(max_length=100, default="")
    pending = models.SmallIntegerField()
    unfinished = models.SmallIntegerField()
    heuristic = models.CharField(
        max_length=8, default=Heuristic.NONE.value, blank=True, choices=_choices(Heuristic)
    )
    version = models.IntegerField(default=1)
    created_at = models.DateTimeField()
    deadline_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    audited_at = models.DateTimeField(null=True)
    next_at = models.DateTimeField(null=True)
    attempts = models.IntegerField(default=0)
    mailbox = models.CharField(max_length=120, default="")
    then_signature = models.JSONField(null=True)
    continued_at = models.DateTimeField(null=True)
    register = models.CharField(max_length=100, default=ROW)
    """Where the outcome is decided: in this row, or by write-once registers elsewhere."""
    period = models.IntegerField(null=True)
    """Of those registers: days since 1970."""

    class Meta:
        db_table = "concord_transaction"
        verbose_name = "transaction"
        permissions = [
            ("resolve_transaction", "Can retry and resolve transactions in doubt"),
        ]
        indexes = [
            models.Index(
                fields=["next_at"],
                condition=models.Q(next_at__isnull=False),
                name="concord_tx_due",
            ),
            models.Index(
                fields=["ended_at"],
                condition=models.Q(ended_at__isnull=False, audited_at__isnull=True),
                name="concord_tx_unaudited",
            ),
            models.Index(fields=["-created_at"], name="concord_tx_created"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(outcome__isnull=True)
                | models.Q(outcome__in=[member.value for member in Outcome]),
                name="concord_tx_outcome",
            ),
        ]

    def __str__(self) -> str:
        return self.gid


class Branch(models.Model):
    """One participant's part of a transaction: what it was asked, what it voted, how it ended."""

    # Only `concord_begin` inserts, both rows in one statement, and the check of a foreign key was
    # a tenth of what the database does for a transaction.
    transaction = models.ForeignKey(
        Transaction,
        on_delete=models.CASCADE,
        related_name="branches",
        db_index=False,
        db_constraint=False,
    )
    seq = models.SmallIntegerField()
    participant = models.CharField(max_length=200)
    node = models.CharField(max_length=16)
    using = models.CharField(max_length=100)
    mode = models.CharField(max_length=8, choices=_choices(Mode))
    form = models.CharField(max_length=9, choices=_choices(Form))
    args = models.JSONField(default=dict)
    after = models.JSONField(default=list)
    vote = models.CharField(max_length=9, null=True, choices=_choices(Vote))
    reason = models.TextField(default="")
    actual = models.CharField(max_length=18, null=True, choices=_choices(Actual))
    after_commit = models.BooleanField(default=False)
    attempts = models.IntegerField(default=0)
    last_error = models.TextField(default="")
    voted_at = models.DateTimeField(null=True)
    precommitted_at = models.DateTimeField(null=True)
    """In three phases: when it was known there that every vote is yes."""
    finished_at = models.DateTimeField(null=True)
    next_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "concord_branch"
        verbose_name = "branch"
        verbose_name_plural = "branches"
        constraints = [
            models.UniqueConstraint(fields=["transaction", "seq"], name="concord_branch_seq"),
        ]

    def __str__(self) -> str:
        return f"{self.transaction_id}:{self.seq}"


class Witness(models.Model):
    """Proof, in the participant's own database, of how a branch ended there.

    Kind `W` is written by the branch's own transaction, so it is visible exactly if that work was
    committed; kind `A` is the tombstone of an abort and refuses a late prepare.
    """

    branch_gid = models.CharField(primary_key=True, max_length=80)
    kind = models.CharField(max_length=1)
    after_commit = models.JSONField(null=True)
    at = models.DateTimeField()
    # Of another project's branch: since when it has been known to be visible. `at` is of before its
    # prepare, and it may have been prepared for long.
    seen_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "concord_witness"
        verbose_name_plural = "witnesses"

    def __str__(self) -> str:
        return f"{self.branch_gid} {self.kind}"


class Barrier(models.Model):
    """Which of try, confirm and cancel of a TCC branch took effect, and who put the row there."""

    branch_gid = models.CharField(max_length=80)
    op = models.CharField(max_length=9)
    reason = models.CharField(max_length=7)
    after_commit = models.JSONField(null=True)
    at = models.DateTimeField()

    class Meta:
        db_table = "concord_barrier"
        constraints = [
            models.UniqueConstraint(fields=["branch_gid", "op"], name="concord_barrier_op"),
        ]

    def __str__(self) -> str:
        return f"{self.branch_gid} {self.op}"
