"""The stores of optimistic names, one file a technology, and which of them an alias means."""

from functools import cache

from django.core.signals import setting_changed

from coordination import conf, registry
from coordination.exceptions import NotSupportedByStore
from coordination.kernel.settings import DATABASE, RABBITMQ, ZOOKEEPER
from coordination.versions.store import VersionStore
from coordination.versions.stores.database import DatabaseVersions
from coordination.versions.stores.redis import RedisVersions


@cache
def version_store(alias: str) -> VersionStore:
    """The optimistic names of a store. Raises NotSupportedByStore before anything is sent."""
    settings = registry.settings_of(alias)
    if settings.backend == DATABASE:
        return DatabaseVersions(alias, using=settings.using)
    if settings.backend in (ZOOKEEPER, RABBITMQ):
        raise NotSupportedByStore(
            f"Store {alias!r} has the backend {settings.backend!r}; optimistic names live on redis "
            "and database.",
            store=alias,
        )
    return RedisVersions(registry.redis_store(alias), node=conf.current().node)


def _forget(*, setting: str, **_: object) -> None:
    if setting == "COORDINATION":
        version_store.cache_clear()


setting_changed.connect(_forget, dispatch_uid="coordination.versions")
