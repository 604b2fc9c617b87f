"""The stores that can be acceptors, one file a technology, and which of them an alias means."""

from coordination import registry
from coordination.consensus.acceptors.postgresql import PostgresAcceptor
from coordination.consensus.acceptors.redis import RedisAcceptor
from coordination.consensus.store import Acceptor
from coordination.exceptions import NotSupportedByStore
from coordination.kernel.settings import DATABASE, RABBITMQ, ZOOKEEPER


def acceptor_of(alias: str) -> Acceptor:
    """The acceptor of a store. Raises NotSupportedByStore before anything is sent."""
    settings = registry.settings_of(alias)
    if settings.backend == ZOOKEEPER:
        store = registry.zookeeper_store(alias)
        # Only now: kazoo is an extra.
        from coordination.consensus.acceptors.zookeeper import ZooKeeperAcceptor

        return ZooKeeperAcceptor(store)
    if settings.backend == DATABASE:
        if (vendor := registry.vendor_of(settings)) != "postgresql":
            raise NotSupportedByStore(
                f"Store {alias!r} is a {vendor} database: an acceptor needs PostgreSQL.",
                store=alias,
            )
        return PostgresAcceptor(settings)
    if settings.backend == RABBITMQ:
        raise NotSupportedByStore(
            f"Store {alias!r} is a RabbitMQ, which keeps messages: acceptors live on redis, "
            "zookeeper and PostgreSQL.",
            store=alias,
        )
    return RedisAcceptor(registry.redis_store(alias))
