"""The stores of fenced values, one file a technology, and which of them an alias means."""

from functools import cache

from django.core.signals import setting_changed

from coordination import conf, registry
from coordination.exceptions import NotSupportedByStore
from coordination.fencing.store import ValueStore
from coordination.fencing.stores.redis import RedisValues
from coordination.kernel.settings import DATABASE


@cache
def value_store(alias: str) -> ValueStore:
    """The fenced values of a store. Raises NotSupportedByStore before anything is sent."""
    if registry.settings_of(alias).backend == DATABASE:
        raise NotSupportedByStore(
            f"Store {alias!r} is a database: give the table a model that subclasses FencedModel.",
            store=alias,
        )
    return RedisValues(registry.redis_store(alias), node=conf.current().node)


def _forget(*, setting: str, **_: object) -> None:
    if setting == "COORDINATION":
        value_store.cache_clear()


setting_changed.connect(_forget, dispatch_uid="coordination.fencing.stores")
