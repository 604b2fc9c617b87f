"""Truth of optimistic names in the database store. Only the store's statements write them."""

from django.db import models


class OptimisticValue(models.Model):
    """A name's value, and how often it was written."""

    name = models.CharField(primary_key=True, max_length=200)
    version = models.BigIntegerField()
    value = models.JSONField(null=True)
    changed_at = models.DateTimeField()

    class Meta:
        db_table = "concord_optimistic"

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"
