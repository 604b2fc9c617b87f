"""Querysets of versioned models: what they write, moves the version."""

from collections.abc import Iterable
from typing import Any, Self, TypeVar

from django.db import models
from django.db.models import F, QuerySet

from coordination.connections.deadlines import answering, writing
from coordination.exceptions import InvalidArgument
from coordination.versions.comparing import FIELD, bump, keeps_the_version, table_of

M = TypeVar("M", bound=models.Model)


class VersionedQuerySet(models.QuerySet[M]):
    """`update` moves each row's version, so whoever read it before meets a conflict.

    It compares none itself: its values are computed in the database and overwrite nothing unseen.
    `bulk_update` writes what was read, so it does compare.
    """

    _bumped = False

    def update(self, **kwargs: Any) -> int:
        """As Django's, with the next version in each row."""
        self._refuse_the_version(kwargs)
        if self._bumped:
            return super().update(**kwargs)
        self._for_write = True
        if keeps_the_version(self.model):
            with answering(self.db):
                return super().update(**kwargs, **{FIELD: F(FIELD) + 1})
        # In a parent's table Django would compute no F(); the rows are locked by their versions.
        home = table_of(self.model)
        key = home._meta.pk.name
        with writing(self.db):
            keys = list(self.order_by().values_list(key, flat=True))
            moved: QuerySet[Any] = QuerySet(home, using=self.db).filter(pk__in=keys)
            moved.update(**{FIELD: F(FIELD) + 1})
            return super(VersionedQuerySet, self.filter(**{f"{key}__in": keys})).update(**kwargs)

    def bulk_update(
        self, objs: Iterable[M], fields: Iterable[str], batch_size: int | None = None
    ) -> int:
        """Write the fields of all these rows, or of none.

        Raises ConflictError when one has moved on or is gone.
        """
        rows, names = list(objs), list(fields)
        self._refuse_the_version(names)
        self._for_write = True
        bumped = self.all()
        bumped._bumped = True
        with writing(self.db):
            bump(self.model, self.db, rows)
            written = super(VersionedQuerySet, bumped).bulk_update(rows, names, batch_size)
        for row in rows:
            setattr(row, FIELD, getattr(row, FIELD) + 1)
        return written

    def bulk_create(
        self,
        objs: Iterable[M],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        update_fields: Any = None,
        unique_fields: Any = None,
    ) -> list[M]:
        """As Django's; `update_conflicts` is refused."""
        if update_conflicts:
            raise InvalidArgument(
                f"{self.model._meta.label}.objects.bulk_create() cannot move versions with "
                "update_conflicts=True: use update_or_create()."
            )
        self._for_write = True
        with answering(self.db):
            return super().bulk_create(objs, batch_size, ignore_conflicts=ignore_conflicts)

    update.alters_data = bulk_update.alters_data = True  # type: ignore[attr-defined]
    bulk_create.alters_data = True  # type: ignore[attr-defined]

    def _clone(self) -> Self:
        own: Any = super()
        clone: Self = own._clone()
        clone._bumped = self._bumped
        return clone

    def _refuse_the_version(self, names: Iterable[str]) -> None:
        if FIELD in names:
            raise InvalidArgument(
                f"The version of {self.model._meta.label} moves by itself; leave it out."
            )


VersionedManager = models.Manager.from_queryset(VersionedQuerySet)
