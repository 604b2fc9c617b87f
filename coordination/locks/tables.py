"""Truth of locks in a database store on PostgreSQL.

Only the SQL functions of migration 0004 write here; times are microseconds of the server's clock.
"""

from django.db import models

from coordination.locks.types import Kind, Mode, State


class LockRow(models.Model):
    """One name of one kind. Whoever changes anything of it has locked this row first.

    Rows of names that nobody uses are deleted; `LockFloor` remembers their tokens.
    """

    kind = models.TextField(choices=[(kind.value, kind.value) for kind in Kind])
    name = models.TextField()
    token = models.BigIntegerField()
    """The last one given, or a floor beneath those to come."""
    version = models.BigIntegerField()
    """Of its last event."""
    sole = models.TextField(null=True)
    """The call that alone holds it, with nobody waiting; empty: nobody at all; NULL: see claims."""
    ends_us = models.BigIntegerField()
    """When the last of its claims ends, or ended."""

    class Meta:
        db_table = "concord_lock"
        verbose_name = "lock"
        constraints = [models.UniqueConstraint(fields=["kind", "name"], name="concord_lock_name")]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class LockClaim(models.Model):
    """One call that holds a lock or waits for it."""

    pk = models.CompositePrimaryKey("lock_id", "call")
    lock_id = models.BigIntegerField()
    call = models.TextField()
    position = models.BigIntegerField()
    """In the queue, in the order of coming."""
    mode = models.TextField(choices=[(mode.value, mode.value) for mode in Mode])
    capacity = models.IntegerField()
    """How many may hold it at once (permit), or have to come (party)."""
    state = models.TextField(choices=[(state.value, state.value) for state in State])
    token = models.BigIntegerField(null=True)
    since_us = models.BigIntegerField()
    until_us = models.BigIntegerField()
    """End of its lease; for a waiter, when it is held to be gone unless it asks again."""
    revoked_at_us = models.BigIntegerField(null=True)
    place = models.IntegerField()
    """Of a party: from 0, among those who were let go together."""
    owner = models.TextField()
    context = models.TextField()
    metadata = models.TextField()
    channel = models.TextField()
    """Where its process hears that it was handed the lock."""

    class Meta:
        db_table = "concord_lock_claim"
        verbose_name = "claim"

    def __str__(self) -> str:
        return f"{self.owner} {self.state}"


class LockAnswer(models.Model):
    """What a call that is over was told, for copies and repetitions of it."""

    pk = models.CompositePrimaryKey("lock_id", "call")
    lock_id = models.BigIntegerField()
    call = models.TextField()
    said = models.TextField()
    """released, left or lost; of a forced release the tokens it took."""
    until_us = models.BigIntegerField()

    class Meta:
        db_table = "concord_lock_answer"
        verbose_name = "answer"
        indexes = [models.Index(fields=["until_us"], name="concord_lock_answer_until")]

    def __str__(self) -> str:
        return f"{self.call} {self.said}"


class LockFloor(models.Model):
    """One row: no token below it is given to a name that has no row of its own."""

    id = models.SmallIntegerField(primary_key=True)
    token = models.BigIntegerField()

    class Meta:
        db_table = "concord_lock_floor"
        verbose_name = "floor"

    def __str__(self) -> str:
        return str(self.token)
