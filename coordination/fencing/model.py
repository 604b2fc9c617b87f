"""`FencedModel`: rows that refuse a writer whose lock has passed on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from asgiref.sync import sync_to_async
from django.core import checks
from django.db import models, router
from django.db.models.signals import class_prepared

from coordination.connections.blocks import saving
from coordination.connections.deadlines import writing
from coordination.exceptions import ConflictError, InvalidArgument, StaleToken
from coordination.fencing import comparing
from coordination.fencing.deleting import cascading, guard
from coordination.fencing.queryset import FencedManager, FencedQuerySet
from coordination.fencing.telling import telling
from coordination.fencing.tokens import REMEDY, Fence, Token, Way, fence_of
from coordination.guarded_models import unguarded_managers


class FencedModel(models.Model):
    """A model whose rows remember the newest token they were written with.

    A lock is a lease: whoever was paused past it still believes that he holds. Comparing its token
    where the data is keeps him from overwriting what a later holder wrote.
    """

    fence_token = models.PositiveBigIntegerField(default=0, db_default=0, editable=False)

    objects: ClassVar[FencedManager[Any]] = FencedManager()

    _fence: Fence | None = None
    """With what it is being written right now."""

    class Meta:
        abstract = True
        # Django's own updates (`related.add()`, SET_NULL) go through the base manager.
        base_manager_name = "objects"

    def save(self, *args: Any, token: Token | None = None, **kwargs: Any) -> None:
        """Write the row with `token`: a grant, its number, or UNFENCED.

        An UNFENCED write compares nothing and leaves the token that stands.

        Raises StaleToken when a newer token has written, ConflictError when the row was deleted
        since it was read, LockLost when the grant is lost already, InvalidArgument without a token.
        In each case nothing was written.
        """
        fence = fence_of(token, what=f"{self._meta.label}.save()")
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        with (
            telling(token),
            saving(type(self), using, StaleToken, ConflictError),
            self._written_with(fence),
        ):
            super().save(*args, **kwargs)

    save.alters_data = True  # type: ignore[attr-defined]

    async def asave(self, *args: Any, token: Token | None = None, **kwargs: Any) -> None:
        """`save` from asynchronous code."""
        await sync_to_async(self.save)(*args, token=token, **kwargs)

    asave.alters_data = True  # type: ignore[attr-defined]

    def delete(
        self, using: Any = None, keep_parents: bool = False, *, token: Token | None = None
    ) -> tuple[int, dict[str, int]]:
        """Delete the row, and what hangs on it, with `token`. A row that is gone counts 0.

        Raises as `save`, but for ConflictError.
        """
        fence_of(token, what=f"{self._meta.label}.delete()")
        assert token is not None
        using = using or router.db_for_write(type(self), instance=self)
        with writing(using), cascading(token):
            return super().delete(using=using, keep_parents=keep_parents)

    delete.alters_data = True  # type: ignore[attr-defined]

    async def adelete(
        self, using: Any = None, keep_parents: bool = False, *, token: Token | None = None
    ) -> tuple[int, dict[str, int]]:
        """`delete` from asynchronous code."""
        return await sync_to_async(self.delete)(using, keep_parents, token=token)

    adelete.alters_data = True  # type: ignore[attr-defined]

    @classmethod
    def check(cls, **kwargs: Any) -> list[checks.CheckMessage]:
        """Also: no manager of it writes without a token."""
        return [
            *super().check(**kwargs),
            *unguarded_managers(
                cls, FencedQuerySet, fault="writes without a token", id="concord.E030"
            ),
        ]

    @contextmanager
    def _written_with(self, fence: Fence) -> Iterator[None]:
        before = {name: self.__dict__[name] for name in ("_fence",) if name in self.__dict__}
        token = {name: self.__dict__[name] for name in (comparing.FIELD,) if name in self.__dict__}
        self._fence = fence
        try:
            yield
        except BaseException:
            self.__dict__.pop(comparing.FIELD, None)
            self.__dict__.update(token)
            raise
        finally:
            del self._fence
            self.__dict__.update(before)

    # Where Django writes one table. `loaddata` calls `save_base(raw=True)` past `save`, so this is
    # the place that nothing gets around.

    def _save_table(
        self, raw: bool = False, cls: type[models.Model] | None = None, *args: Any, **kwargs: Any
    ) -> bool:
        table: Any = super()
        if raw:
            with self._written_with(Way.RAW):
                return bool(table._save_table(raw, cls, *args, **kwargs))
        if self._fence is None:
            raise InvalidArgument(f"{self._meta.label}.save_base() needs a token: {REMEDY}.")
        if isinstance(self._fence, int):
            self.fence_token = self._fence
        return bool(table._save_table(raw, cls, *args, **kwargs))

    def _do_update(  # type: ignore[override]
        self,
        base_qs: Any,
        using: str,
        pk_val: Any,
        values: Sequence[comparing.Assignment],
        *args: Any,
    ) -> bool:
        if not comparing.keeps_the_token(base_qs.model):
            table: Any = super()
            return bool(table._do_update(base_qs, using, pk_val, values, *args))
        assert self._fence is not None
        if comparing.write(base_qs.model, using, pk_val, values, self._fence):
            return True
        was_read = not self._state.adding and self._state.db == using
        if was_read and self._fence is not Way.RAW:
            # Inserting it again would bring back what somebody deleted, perhaps with a newer token.
            raise comparing.gone(base_qs.model, using, pk_val)
        return False


def _guard(sender: type[models.Model], **_: object) -> None:
    if issubclass(sender, FencedModel):
        guard(sender)


class_prepared.connect(_guard, dispatch_uid="coordination.fencing")
