"""Alias of a store → its connection: made once, shared by the process's threads."""

from functools import cache

from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from coordination import conf
from coordination.connections.redis import RedisStore
from coordination.connections.redis_async import AsyncRedisConnection
from coordination.exceptions import InvalidArgument, NotSupportedByStore
from coordination.kernel.nearest import unknown_message
from coordination.kernel.settings import REDIS, StoreSettings


def route(primitive: str, name: str, *, using: str | None = None) -> str:
    """Return the alias of the store where this name lives: ``using``, else ROUTES, else DEFAULT.

    Raises:
        InvalidArgument: no store has the alias ``using``.
    """
    if using is None:
        return conf.current().store_of(primitive, name)
    return settings_of(using).alias


def settings_of(alias: str) -> StoreSettings:
    """Return the settings of a store.

    Raises:
        InvalidArgument: COORDINATION["STORES"] has no such alias.
    """
    stores = conf.current().stores
    if alias not in stores:
        raise InvalidArgument(unknown_message("store", alias, stores), store=str(alias))
    return stores[alias]


def redis_store(alias: str) -> RedisStore:
    """Return the connection of a Redis store.

    Raises:
        InvalidArgument: no store has this alias.
        NotSupportedByStore: the store is not a Redis.
    """
    return _redis_store(settings_of(alias).alias)


def aconnection(alias: str) -> AsyncRedisConnection:
    """Return a new asyncio connection of a Redis store; the caller closes it.

    Raises: as for ``redis_store``.
    """
    store = settings_of(alias)
    if store.backend != REDIS:
        raise _not_redis(store)
    return AsyncRedisConnection(alias, store.location, options=store.options)


@cache
def _redis_store(alias: str) -> RedisStore:
    store = settings_of(alias)
    if store.backend == REDIS:
        return RedisStore(alias, store.location, options=store.options)
    if "." in store.backend:
        made = import_string(store.backend)(alias, store.location, options=store.options)
        if isinstance(made, RedisStore):
            return made
    raise _not_redis(store)


def _not_redis(store: StoreSettings) -> NotSupportedByStore:
    return NotSupportedByStore(
        f"Store {store.alias!r} has the backend {store.backend!r}; a Redis is needed here.",
        store=store.alias,
    )


def _forget(*, setting: str, **_: object) -> None:
    if setting == "COORDINATION":
        _redis_store.cache_clear()


setting_changed.connect(_forget, dispatch_uid="coordination.registry")
