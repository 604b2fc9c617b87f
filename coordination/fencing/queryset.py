"""Querysets of fenced models: what they write, they write with a token."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self, TypeVar

from django.db import models
from django.db.models.utils import resolve_callables

from coordination.connections.deadlines import answering, writing
from coordination.exceptions import InvalidArgument
from coordination.fencing.comparing import FIELD, claim, table_of
from coordination.fencing.deleting import cascading, token_of_the_cascade
from coordination.fencing.telling import telling
from coordination.fencing.tokens import UNFENCED, Token, Way, fence_of

M = TypeVar("M", bound=models.Model)


class FencedQuerySet(models.QuerySet[M]):
    """`fenced(grant)` first, then what writes; without it all of that is refused.

    `update`, `bulk_update` and `delete` write all rows or none: a row with a newer token raises
    StaleToken, and what was written before it in the same call is undone.
    """

    _token: Token | None = None

    def fenced(self, token: Token) -> Self:
        """The same rows, to be written with `token`: a grant, its number, or UNFENCED."""
        fence_of(token, what=f"{self.model._meta.label}.objects.fenced()")
        clone: Self = self.all()
        clone._token = token
        return clone

    def create(self, **kwargs: Any) -> M:
        """Insert a row that has the token."""
        self._fence("create()")
        row = self.model(**kwargs)
        self._for_write = True
        row.save(force_insert=True, using=self.db, token=self._token)  # type: ignore[call-arg]
        return row

    def get_or_create(
        self, defaults: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> tuple[M, bool]:
        """As Django's; refused without a token even if there is nothing to create."""
        self._fence("get_or_create()")
        self._for_write = True
        with answering(self.db):
            return super().get_or_create(defaults, **kwargs)

    def update_or_create(
        self,
        defaults: Mapping[str, Any] | None = None,
        create_defaults: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> tuple[M, bool]:
        """As Django's, the whole row being written."""
        self._fence("update_or_create()")
        defaults = defaults or {}
        self._for_write = True
        with writing(self.db):
            found = self.select_for_update()
            row, created = found.get_or_create(
                defaults if create_defaults is None else create_defaults, **kwargs
            )
            if not created:
                for name, value in resolve_callables(defaults):
                    setattr(row, name, value)
                row.save(using=self.db, token=self._token)  # type: ignore[call-arg]
        return row, created

    def bulk_create(
        self,
        objs: Iterable[M],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        update_fields: Any = None,
        unique_fields: Any = None,
    ) -> list[M]:
        """Insert rows that have the token; `update_conflicts` is refused."""
        fence = self._fence("bulk_create()")
        if update_conflicts:
            raise InvalidArgument(
                f"{self._what('bulk_create()')} cannot compare tokens with update_conflicts=True: "
                "use fenced(grant).update_or_create()."
            )
        rows = list(objs)
        if fence is not UNFENCED:
            for row in rows:
                setattr(row, FIELD, fence)
        self._for_write = True
        with answering(self.db):
            return super().bulk_create(rows, batch_size, ignore_conflicts=ignore_conflicts)

    def bulk_update(
        self, objs: Iterable[M], fields: Iterable[str], batch_size: int | None = None
    ) -> int:
        """Write the fields of all these rows, or of none."""
        fence = self._fence("bulk_update()")
        rows, names = list(objs), list(fields)
        self._refuse_the_token(names)
        self._for_write = True
        with writing(self.db):
            written = super().bulk_update(rows, names, batch_size)
        if fence is not UNFENCED:
            for row in rows:
                setattr(row, FIELD, fence)
        return written

    def update(self, **kwargs: Any) -> int:
        """Write all these rows, or none; returns how many they were.

        Django calls this itself where a row is deleted that others point to (SET_NULL): then it is
        the token of `cascading`, and without any it is refused only if there are such rows.
        """
        if self._token is None:
            cascade = token_of_the_cascade()
            if cascade is not None:
                return self.fenced(cascade).update(**kwargs)
            if not self.exists():
                return 0
        fence = self._fence("update()")
        self._refuse_the_token(kwargs)
        self._for_write = True
        if fence is UNFENCED:
            with answering(self.db):
                return super().update(**kwargs)
        with writing(self.db):
            # First the tokens, by key: Django may put the conditions of an UPDATE into a subquery,
            # which PostgreSQL does not look at again after waiting for another writer.
            keys = self._claim(fence)
            name = f"{table_of(self.model)._meta.pk.name}__in"
            return super(FencedQuerySet, self.filter(**{name: keys})).update(**kwargs)

    def delete(self) -> tuple[int, dict[str, int]]:
        """Delete all these rows, or none."""
        fence = self._fence("delete()")
        assert self._token is not None
        self._for_write = True
        with writing(self.db), cascading(self._token) as deletion:
            if fence is not UNFENCED:
                deletion.claim(self.model, self.db, self._keys())
            return super().delete()

    def _clone(self) -> Self:
        own: Any = super()
        clone: Self = own._clone()
        clone._token = self._token
        return clone

    def _fence(self, verb: str) -> int | Literal[Way.UNFENCED]:
        if self._token is None:
            raise InvalidArgument(
                f"{self._what(verb)} needs a token: call .fenced(grant).{verb[:-1]}…) with the "
                "grant of the lock that guards it, or .fenced(UNFENCED)."
            )
        return fence_of(self._token, what=self._what(verb))

    def _claim(self, fence: int) -> list[Any]:
        keys = self._keys()
        with telling(self._token):
            claim(self.model, self.db, keys, fence)
        return keys

    def _keys(self) -> list[Any]:
        key = table_of(self.model)._meta.pk.name
        return list(self.order_by().values_list(key, flat=True))

    def _refuse_the_token(self, names: Iterable[str]) -> None:
        if FIELD in names:
            raise InvalidArgument(f"{FIELD} of {self.model._meta.label} is what fenced() sets.")

    def _what(self, verb: str) -> str:
        return f"{self.model._meta.label}.objects.{verb}"


FencedManager = models.Manager.from_queryset(FencedQuerySet)
