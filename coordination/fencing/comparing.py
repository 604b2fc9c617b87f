"""The comparison itself: one UPDATE that changes a row only if no newer token stands in it.

PostgreSQL makes a writer wait for another one's transaction and then compares with what that one
committed (READ COMMITTED), so there is no moment between comparing and writing. Under REPEATABLE
READ the same UPDATE fails with a serialization error instead: nothing is written either.
"""

from collections.abc import Collection, Sequence
from typing import Any

from django.db import models
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Greatest

from coordination.exceptions import ConflictError, StaleToken
from coordination.fencing.tokens import Fence, Way

FIELD = "fence_token"
TRIES = 3

Assignment = tuple["models.Field[Any, Any]", Any, Any]
"""Field, model and value, as Django's `_update` takes them."""


def table_of(model: type[models.Model]) -> type[models.Model]:
    """The model in whose table the token of `model` stands: a parent's, if it was inherited."""
    home: type[models.Model] = model._meta.get_field(FIELD).model
    return home


def keeps_the_token(model: type[models.Model]) -> bool:
    """Whether the token stands in this model's own table."""
    concrete = model._meta.concrete_model or model
    return any(field.name == FIELD for field in concrete._meta.local_concrete_fields)


def write(
    model: type[models.Model], using: str, pk: Any, values: Sequence[Assignment], fence: Fence
) -> bool:
    """Write `values` into the row, with the token; False when there is no such row.

    Raises StaleToken when a newer token stands there.
    """
    row: Any = QuerySet(model, using=using).filter(pk=pk)
    field = model._meta.get_field(FIELD)
    others = [each for each in values if each[0].name != FIELD]
    if fence is Way.UNFENCED:
        return bool(row._update(others) if others else row.exists())
    if fence is Way.RAW:
        # The token in the fixture may be older than the one that stands: it never falls.
        raised = [
            (each[0], None, Greatest(F(FIELD), Value(each[2] or 0)))
            for each in values
            if each[0].name == FIELD
        ]
        return bool(row._update([*others, *raised]))
    for _ in range(TRIES):
        if row.filter(**{f"{FIELD}__lte": fence})._update([*others, (field, None, fence)]):
            return True
        standing = row.values_list(FIELD, flat=True).first()
        if standing is None:
            return False
        if standing > fence:
            raise stale(model, using, pk, fence=fence, standing=standing)
    raise ConflictError(
        f"{_row(model, pk)} was not written, although no newer token stands in it: does a trigger "
        "of the database refuse it?",
        name=_row(model, pk),
        store=using,
    )


def claim(model: type[models.Model], using: str, keys: Collection[Any], fence: int) -> None:
    """Put the token into these rows of `table_of(model)`, which locks them until the commit.

    Rows that are gone are passed over. Raises StaleToken when a newer token stands in any; the
    caller's block then has to be rolled back.
    """
    home = table_of(model)
    rows: QuerySet[Any] = QuerySet(home, using=using).filter(pk__in=keys)
    claimed = rows.filter(**{f"{FIELD}__lte": fence}).update(**{FIELD: fence})
    if claimed == len(keys):
        return
    newer = rows.filter(**{f"{FIELD}__gt": fence}).values_list("pk", FIELD).first()
    if newer is not None:
        raise stale(model, using, newer[0], fence=fence, standing=newer[1])


def stale(
    model: type[models.Model], using: str, pk: Any, *, fence: int, standing: int
) -> StaleToken:
    """The error that names both tokens."""
    return StaleToken(
        f"{_row(model, pk)} was written with token {standing}; {fence} is older and may not write "
        "any more.",
        name=_row(model, pk),
        store=using,
        reason=f"token {fence} is older than {standing}",
        token=fence,
        newer=standing,
    )


def gone(model: type[models.Model], using: str, pk: Any) -> ConflictError:
    """The error of a row that was read and is not there any more."""
    return ConflictError(
        f"{_row(model, pk)} was deleted meanwhile; nothing was written.",
        name=_row(model, pk),
        store=using,
        reason="deleted",
    )


def _row(model: type[models.Model], pk: Any) -> str:
    return f"{model._meta.label} {pk!r:.80}"
