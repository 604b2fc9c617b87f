"""The comparison itself: one UPDATE that changes a row only if it still has the version read."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import models
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Greatest

from coordination.exceptions import ConflictError, InvalidArgument

FIELD = "version"

Assignment = tuple["models.Field[Any, Any]", Any, Any]
"""Field, model and value, as Django's `_update` takes them."""


def table_of(model: type[models.Model]) -> type[models.Model]:
    """The model in whose table the version of `model` stands: a parent's, if it was inherited."""
    home: type[models.Model] = model._meta.get_field(FIELD).model
    return home


def keeps_the_version(model: type[models.Model]) -> bool:
    """Whether the version stands in this model's own table."""
    concrete = model._meta.concrete_model or model
    return any(field.name == FIELD for field in concrete._meta.local_concrete_fields)


def write(
    model: type[models.Model], using: str, pk: Any, values: Sequence[Assignment], version: int
) -> bool:
    """Write `values` and the next version into the row, if it has `version`; whether it had."""
    row: Any = QuerySet(model, using=using).filter(pk=pk, **{FIELD: version})
    field = model._meta.get_field(FIELD)
    others = [each for each in values if each[0].name != FIELD]
    return bool(row._update([*others, (field, None, version + 1)]))


def overwrite(model: type[models.Model], using: str, pk: Any, values: Sequence[Assignment]) -> bool:
    """Write `values` whatever the version; it rises all the same. For `loaddata`."""
    row: Any = QuerySet(model, using=using).filter(pk=pk)
    field = model._meta.get_field(FIELD)
    given = [each[2] for each in values if each[0].name == FIELD]
    version = Greatest(F(FIELD) + 1, Value(max([0, *(each or 0 for each in given)])))
    others = [each for each in values if each[0].name != FIELD]
    return bool(row._update([*others, (field, None, version)]))


def bump(model: type[models.Model], using: str, rows: Iterable[models.Model]) -> None:
    """Give each row the version after the one it was read with, which locks it until the commit.

    Raises ConflictError when one has moved on or is gone; the caller's block then has to be
    rolled back.
    """
    home = table_of(model)
    key = home._meta.pk.attname
    found: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        found[version_read(row)].append(getattr(row, key))
    for version, keys in sorted(found.items()):
        standing: QuerySet[Any] = QuerySet(home, using=using).filter(pk__in=keys)
        bumped = standing.filter(**{FIELD: version}).update(**{FIELD: version + 1})
        if bumped < len(set(keys)):
            raise _one_of(home, using, keys, version=version)


def version_read(row: models.Model) -> int:
    """The version this object was read with. Raises InvalidArgument when it was read without."""
    if FIELD not in row.__dict__:
        # Reading it now would find a version whose other fields this object has never seen.
        raise InvalidArgument(
            f"{row._meta.label} {row.pk!r:.80} was read without its version: leave it out of "
            "defer(), or name it in only()."
        )
    version = row.__dict__[FIELD]
    if isinstance(version, bool) or not isinstance(version, int) or version < 0:
        raise InvalidArgument(
            f"{row._meta.label} {row.pk!r:.80} has the version {version!r:.80}: it is the number "
            "that was read, and not to be set."
        )
    return version


def conflict(model: type[models.Model], using: str, pk: Any, *, version: int) -> ConflictError:
    """The error that names the version read and the one that stands."""
    rows: QuerySet[Any] = QuerySet(model, using=using).filter(pk=pk)
    standing = rows.values_list(FIELD, flat=True).first()
    now = "deleted meanwhile" if standing is None else f"now at version {standing}"
    row = f"{model._meta.label} {pk!r:.80}"
    return ConflictError(
        f"{row} was read at version {version} and is {now}; nothing was written.",
        name=row,
        store=using,
        reason=now,
    )


def _one_of(
    model: type[models.Model], using: str, keys: list[Any], *, version: int
) -> ConflictError:
    # One that others moved to the next version looks like one that was bumped just now.
    rows: QuerySet[Any] = QuerySet(model, using=using).filter(pk__in=keys)
    bumped = set(rows.filter(**{FIELD: version + 1}).values_list("pk", flat=True))
    moved = keys if len(keys) == 1 else [pk for pk in keys if pk not in bumped]
    if moved:
        return conflict(model, using, moved[0], version=version)
    return ConflictError(
        f"One of {len(keys)} rows of {model._meta.label} that were read at version {version} has "
        "moved on; nothing was written.",
        name=model._meta.label,
        store=using,
        reason="moved on",
    )
