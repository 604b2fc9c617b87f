"""Alias of a store → its connection: made once, shared by the process's threads."""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from django.core.signals import setting_changed
from django.db import connections
from django.utils.module_loading import import_string

from coordination import conf
from coordination.connections.redis import RedisStore
from coordination.connections.redis_async import AsyncRedisConnection
from coordination.exceptions import InvalidArgument, NotSupportedByStore
from coordination.kernel.nearest import unknown_message
from coordination.kernel.settings import RABBITMQ, REDIS, ZOOKEEPER, StoreSettings

if TYPE_CHECKING:
    from coordination.connections.rabbitmq import RabbitMQStore
    from coordination.connections.zookeeper import ZooKeeperStore


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


def zookeeper_store(alias: str) -> "ZooKeeperStore":
    """Return the connection of a ZooKeeper store.

    Raises:
        InvalidArgument: no store has this alias.
        NotSupportedByStore: the store is not a ZooKeeper, or kazoo is not installed.
    """
    return _zookeeper_store(settings_of(alias).alias)


def rabbitmq_store(alias: str) -> "RabbitMQStore":
    """Return the connections of a RabbitMQ store.

    Raises:
        InvalidArgument: no store has this alias.
        NotSupportedByStore: the store is not a RabbitMQ, or py-amqp is not installed.
    """
    return _rabbitmq_store(settings_of(alias).alias)


def aconnection(alias: str) -> AsyncRedisConnection:
    """Return a new asyncio connection of a Redis store; the caller closes it.

    Raises: as for ``redis_store``.
    """
    store = settings_of(alias)
    if store.backend != REDIS:
        raise _not_redis(store)
    return AsyncRedisConnection(alias, store.location, options=store.options)


def vendor_of(store: StoreSettings) -> str:
    """Return Django's word for the kind of a ``database`` store, without connecting.

    Raises:
        InvalidArgument: DATABASES has no such alias.
    """
    if store.using not in connections.settings:
        raise InvalidArgument(
            unknown_message("database", store.using, connections.settings), store=store.alias
        )
    return connections[store.using].vendor


def sidecar_path(store: StoreSettings) -> Path:
    """Return where a store on SQLite keeps its own file: OPTIONS["LOCATION"], else beside Django's.

    Raises:
        NotSupportedByStore: the database is in memory, where no other process could look.
    """
    if location := store.options.get("location"):
        return Path(str(location))
    name = str(connections.settings[store.using]["NAME"])
    if name == ":memory:" or name.startswith("file:"):
        raise NotSupportedByStore(
            f"Store {store.alias!r}: the database {store.using!r} is {name!r}, and there is no "
            "place beside it. Give the store a file in OPTIONS['LOCATION'], or the database one in "
            "NAME, for tests in TEST['NAME'].",
            store=store.alias,
        )
    return Path(f"{name}-locks")


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


@cache
def _zookeeper_store(alias: str) -> "ZooKeeperStore":
    store = settings_of(alias)
    if store.backend != ZOOKEEPER:
        raise NotSupportedByStore(
            f"Store {alias!r} has the backend {store.backend!r}; a ZooKeeper is needed here.",
            store=alias,
        )
    try:
        from coordination.connections.zookeeper import ZooKeeperStore
    except ImportError as error:
        raise NotSupportedByStore(
            f"Store {alias!r} needs kazoo: pip install django-concord[zookeeper].", store=alias
        ) from error
    made = ZooKeeperStore(alias, store.location, options=store.options)
    _threaded.append(made)
    return made


@cache
def _rabbitmq_store(alias: str) -> "RabbitMQStore":
    store = settings_of(alias)
    if store.backend != RABBITMQ:
        raise NotSupportedByStore(
            f"Store {alias!r} has the backend {store.backend!r}; a RabbitMQ is needed here.",
            store=alias,
        )
    try:
        from coordination.connections.rabbitmq import RabbitMQStore
    except ImportError as error:
        raise NotSupportedByStore(
            f"Store {alias!r} needs amqp: pip install django-concord[rabbitmq].", store=alias
        ) from error
    made = RabbitMQStore(alias, store.location, options=store.options)
    _threaded.append(made)
    return made


_threaded: "list[RabbitMQStore | ZooKeeperStore]" = []


def _not_redis(store: StoreSettings) -> NotSupportedByStore:
    return NotSupportedByStore(
        f"Store {store.alias!r} has the backend {store.backend!r}; a Redis is needed here.",
        store=store.alias,
    )


def _forget(*, setting: str, **_: object) -> None:
    if setting == "COORDINATION":
        _redis_store.cache_clear()
        _zookeeper_store.cache_clear()
        _rabbitmq_store.cache_clear()
        # Their threads would keep the session, and what is held by it, alive.
        while _threaded:
            _threaded.pop().close()


setting_changed.connect(_forget, dispatch_uid="coordination.registry")
