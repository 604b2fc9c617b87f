"""Tables of one database of the bank; both databases have the same."""

from django.db import models

from examples.bank import money


class Account(models.Model):
    """A customer's balances in cents; `fees` is what the bank earned from this account."""

    id = models.PositiveBigIntegerField(primary_key=True)
    name = models.CharField(max_length=64)
    savings = models.BigIntegerField(default=money.OPENING_SAVINGS)
    checking = models.BigIntegerField(default=money.OPENING_CHECKING)
    fees = models.BigIntegerField(default=0)

    class Meta:
        db_table = "bank_account"
        constraints = (
            models.CheckConstraint(name="bank_savings_floor", condition=models.Q(savings__gte=0)),
            models.CheckConstraint(
                name="bank_checking_floor",
                condition=models.Q(checking__gte=-money.OVERDRAFT_LIMIT),
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.pk})"


class Drawer(models.Model):
    """Cash that customers of the other database brought or took, in cents, of either sign."""

    id = models.PositiveSmallIntegerField(primary_key=True)
    cash = models.BigIntegerField(default=0)

    class Meta:
        db_table = "bank_drawer"

    def __str__(self) -> str:
        return f"drawer {self.pk}"
