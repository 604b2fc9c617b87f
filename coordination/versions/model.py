"""`VersionedModel`: rows that refuse a writer who read an older version."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.core import checks
from django.db import models, router

from coordination.connections.blocks import saving
from coordination.connections.deadlines import writing
from coordination.exceptions import ConflictError
from coordination.guarded_models import unguarded_managers
from coordination.versions import comparing
from coordination.versions.queryset import VersionedManager, VersionedQuerySet


class VersionedModel(models.Model):
    """A model whose rows count how often they were written. Nothing is locked.

    Of two who read the same version the first to save wins; the other gets ConflictError, reads
    again and decides anew. Within `optimistic(…)` on a database store that happens by itself.
    """

    version = models.PositiveBigIntegerField(default=1, db_default=1, editable=False)

    objects: ClassVar[VersionedManager[Any]] = VersionedManager()

    _raw = False
    """Whether `loaddata` is writing it right now."""

    class Meta:
        abstract = True
        # Django's own updates (`related.add()`, SET_NULL) go through the base manager.
        base_manager_name = "objects"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """As Django's, if the row still has the version this object was read with.

        Raises ConflictError when it has moved on or is gone, InvalidArgument when this object was
        read without its version. In both cases nothing was written, and the object is unchanged.
        """
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        before = self.__dict__.get(comparing.FIELD)
        try:
            with saving(type(self), using, ConflictError):
                super().save(*args, **kwargs)
        except BaseException:
            if before is not None:
                self.version = before
            raise

    save.alters_data = True  # type: ignore[attr-defined]

    def delete(self, using: Any = None, keep_parents: bool = False) -> tuple[int, dict[str, int]]:
        """As Django's, if the row still has the version this object was read with.

        Raises ConflictError when it has moved on or is gone.
        """
        using = using or router.db_for_write(type(self), instance=self)
        with writing(using):
            if self.pk is not None:
                comparing.bump(type(self), using, [self])
            return super().delete(using=using, keep_parents=keep_parents)

    delete.alters_data = True  # type: ignore[attr-defined]

    @classmethod
    def check(cls, **kwargs: Any) -> list[checks.CheckMessage]:
        """Also: no manager of it writes without moving the version."""
        return [
            *super().check(**kwargs),
            *unguarded_managers(
                cls, VersionedQuerySet, fault="writes without moving the version", id="concord.E031"
            ),
        ]

    # Where Django writes one table. `loaddata` calls `save_base(raw=True)` past `save`, so this is
    # the place that nothing gets around.

    def _save_table(
        self, raw: bool = False, cls: type[models.Model] | None = None, *args: Any, **kwargs: Any
    ) -> bool:
        table: Any = super()
        self._raw = raw
        try:
            return bool(table._save_table(raw, cls, *args, **kwargs))
        finally:
            del self._raw

    def _do_update(  # type: ignore[override]
        self,
        base_qs: Any,
        using: str,
        pk_val: Any,
        values: Sequence[comparing.Assignment],
        update_fields: Any,
        forced_update: Any,
    ) -> bool:
        model = base_qs.model
        if not comparing.keeps_the_version(model):
            table: Any = super()
            return bool(
                table._do_update(base_qs, using, pk_val, values, update_fields, forced_update)
            )
        if self._raw:
            return comparing.overwrite(model, using, pk_val, values)
        was_read = not self._state.adding and self._state.db == using
        if not was_read and not forced_update:
            # An object made with the key of a row: overwriting what it never read is no update.
            if not models.QuerySet(model, using=using).filter(pk=pk_val).exists():
                return False
            raise ConflictError(
                f"{model._meta.label} {pk_val!r:.80} exists already and was not read: get it, and "
                "save that.",
                name=f"{model._meta.label} {pk_val!r:.80}",
                store=using,
                reason="it was not read",
            )
        version = comparing.version_read(self)
        if not comparing.write(model, using, pk_val, values, version):
            raise comparing.conflict(model, using, pk_val, version=version)
        self.version = version + 1
        return True
