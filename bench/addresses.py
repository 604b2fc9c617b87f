"""Where the servers of the bench are. What this machine lacks raises NotHere."""

import os


class NotHere(Exception):
    """This machine lacks a server."""


def redis_url(database: int = 1) -> str:
    """A database of the Redis; Concord's store is in number 1."""
    return f"{os.environ['REDIS_URL'].rpartition('/')[0]}/{database}"


def postgresql_url() -> str:
    """The project's own database."""
    return os.environ["DATABASE_URL"].replace("postgres://", "postgresql://", 1)


def rabbitmq_url() -> str:
    """The only virtual host."""
    return _named("RABBITMQ_URL", "RabbitMQ")


def zookeeper_hosts() -> str:
    """The ensemble."""
    return _named("ZOOKEEPER_HOSTS", "ZooKeeper")


def _named(variable: str, what: str) -> str:
    try:
        return os.environ[variable]
    except KeyError:
        raise NotHere(f"there is no {what}") from None
