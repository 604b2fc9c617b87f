"""Fenced and versioned models in every shape Django knows."""

from django.db import models

from coordination.models import FencedModel, VersionedModel


class Key(models.Model):
    """With an id of its own, which the tests' app need not configure."""

    id = models.BigAutoField(primary_key=True)

    class Meta:
        abstract = True
        app_label = "guarded"


class Owner(Key):
    name = models.CharField(max_length=20, default="")

    class Meta(Key.Meta):
        abstract = False

    def __str__(self) -> str:
        return self.name


class Account(FencedModel):
    """One table."""

    id = models.BigAutoField(primary_key=True)
    owner = models.ForeignKey(Owner, models.CASCADE, null=True, related_name="accounts")
    patron = models.ForeignKey(Owner, models.SET_NULL, null=True, related_name="patronised")
    name = models.CharField(max_length=20, default="")
    balance = models.IntegerField(default=0)

    class Meta:
        app_label = "guarded"


class Savings(Account):
    """A second table; the token stands in the first."""

    rate = models.IntegerField(default=0)

    class Meta:
        app_label = "guarded"


class Vault(Owner, FencedModel):
    """A second table, in which the token stands; the first is not fenced."""

    gold = models.IntegerField(default=0)

    class Meta:
        app_label = "guarded"

    def __str__(self) -> str:
        return self.name


class SmallAccount(Account):
    class Meta:
        proxy = True
        app_label = "guarded"


class Document(VersionedModel):
    """One table."""

    id = models.BigAutoField(primary_key=True)
    owner = models.ForeignKey(Owner, models.SET_NULL, null=True, related_name="documents")
    title = models.CharField(max_length=40, default="")
    text = models.CharField(max_length=200, default="", blank=True)
    count = models.IntegerField(default=0)

    class Meta:
        app_label = "guarded"

    def __str__(self) -> str:
        return self.title


class Letter(Document):
    """A second table; the version stands in the first."""

    to = models.CharField(max_length=40, default="")

    class Meta:
        app_label = "guarded"


class Note(Document):
    class Meta:
        proxy = True
        app_label = "guarded"


class LooseAccount(FencedModel):
    """What the checks are to find."""

    objects = models.Manager()

    class Meta:
        app_label = "guarded_loosely"


class LooseDocument(VersionedModel):
    """What the checks are to find."""

    objects = models.Manager()

    class Meta:
        app_label = "guarded_loosely"


TABLES = (Owner, Account, Savings, Vault, Document, Letter)
