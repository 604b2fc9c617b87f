"""Truth of registers in PostgreSQL: plain ones, and the memory of an acceptor.

Only the SQL functions of migration 0014 write here.
"""

from django.db import models


class RegisterRow(models.Model):
    """A register of this database alone: written once."""

    pk = models.CompositePrimaryKey("period", "key")
    period = models.IntegerField()
    key = models.TextField(db_collation="C")
    value = models.TextField()

    class Meta:
        db_table = "concord_register"

    def __str__(self) -> str:
        return f"{self.period} {self.key} = {self.value}"


class AcceptorCell(models.Model):
    """What this database has promised and accepted as one acceptor of a quorum."""

    pk = models.CompositePrimaryKey("period", "key")
    period = models.IntegerField()
    key = models.TextField(db_collation="C")
    promised = models.TextField(db_collation="C")
    """A ballot; as texts they compare byte by byte."""
    ballot = models.TextField(null=True, db_collation="C")
    value = models.TextField(null=True)

    class Meta:
        db_table = "concord_acceptor_cell"

    def __str__(self) -> str:
        return f"{self.period} {self.key}: {self.ballot} {self.value}, promised {self.promised}"


class ConsensusSeat(models.Model):
    """Who keeps registers here: `acceptor`, of a quorum, or `registers`, of this database alone."""

    role = models.TextField(primary_key=True)
    incarnation = models.TextField()
    host = models.TextField()
    """The cluster and its timeline, which a promoted standby or a restored backup leaves."""
    version = models.IntegerField()
    view = models.TextField()
    floor = models.IntegerField()
    """Registers of periods below this one are forgotten, and refused."""

    class Meta:
        db_table = "concord_consensus_seat"

    def __str__(self) -> str:
        return f"{self.role} {self.incarnation} v{self.version}"
