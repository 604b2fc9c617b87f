"""The check of guarded models that no manager of theirs gets around the guard."""

from typing import Any

from django.core import checks
from django.db import models


def unguarded_managers(
    model: type[models.Model],
    queryset: type[models.QuerySet[Any]],
    *,
    fault: str,
    id: str,  # noqa: A002 - as `checks.Error` calls it
) -> list[checks.CheckMessage]:
    """An error for each manager of `model`, its base manager included, without `queryset`.

    Args:
        model: whose managers they are.
        queryset: the guarded one; beside it stands its manager, named alike.
        fault: what such a manager does, in words: "writes without a token".
        id: of the error.
    """
    each: list[Any] = [*model._meta.managers, model._base_manager]
    managers = {manager.name: manager for manager in each}
    guarded = queryset.__name__
    return [
        checks.Error(
            f"The manager {name!r} of {model._meta.label} {fault}.",
            hint=f"Make it with {guarded.removesuffix('QuerySet')}Manager or "
            f"{guarded}.as_manager() of {queryset.__module__}.",
            obj=model,
            id=id,
        )
        for name, manager in managers.items()
        if not isinstance(manager.get_queryset(), queryset)
    ]
