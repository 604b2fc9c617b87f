"""Truth of counters in a database store, in the project's own tables.

Only the SQL functions of migration 0008 write here on PostgreSQL, `stores/sqlite.py` on SQLite;
times are microseconds of the server's or the host's clock.
"""

from django.db import models


class CounterRow(models.Model):
    """One counter, or with shards a part of it. Whoever changes it has locked this row first."""

    pk = models.CompositePrimaryKey("name", "shard")
    name = models.TextField()
    shard = models.IntegerField()
    value = models.BigIntegerField()
    version = models.BigIntegerField()

    class Meta:
        db_table = "concord_counter"

    def __str__(self) -> str:
        return f"{self.name} = {self.value} v{self.version}"


class CounterAnswer(models.Model):
    """What became of a call, for its repetitions."""

    pk = models.CompositePrimaryKey("name", "call")
    name = models.TextField()
    call = models.TextField()
    ending = models.TextField()
    value = models.BigIntegerField()
    version = models.BigIntegerField()
    said = models.TextField()
    until_us = models.BigIntegerField()
    """When it may be forgotten."""

    class Meta:
        db_table = "concord_counter_answer"
        indexes = [models.Index(fields=["until_us"], name="concord_counter_until")]

    def __str__(self) -> str:
        return f"{self.name} {self.call}: {self.ending}"


class CounterHold(models.Model):
    """Room of a counter in SQLite for what an undecided transaction may add. PostgreSQL has none:
    there the addition is a part of what is prepared."""

    pk = models.CompositePrimaryKey("name", "branch")
    name = models.TextField()
    branch = models.TextField()
    amount = models.BigIntegerField()
    at_us = models.BigIntegerField()

    class Meta:
        db_table = "concord_counter_hold"

    def __str__(self) -> str:
        return f"{self.name} {self.amount:+d} for {self.branch}"


class CounterEvent(models.Model):
    """One change of a counter in SQLite; PostgreSQL has its events in `concord_event`."""

    position = models.BigAutoField(primary_key=True)
    kind = models.TextField()
    name = models.TextField()
    version = models.BigIntegerField()
    at_us = models.BigIntegerField()
    node = models.TextField()
    call = models.TextField()
    before = models.BigIntegerField()
    after = models.BigIntegerField()
    note = models.TextField(db_default="{}")
    """What else there is to say, a JSON object; see `events.note_of`."""

    class Meta:
        db_table = "concord_counter_event"
        indexes = [models.Index(fields=["name", "version"], name="concord_counter_event_name")]

    def __str__(self) -> str:
        return f"{self.kind} {self.name} v{self.version}"
