"""The servers this project knows how to have, and which variable names each.

A new kind is a module beside this one and a row here.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from config.servers.folders import RunFolder
from config.servers.postgresql import PostgreSQL
from config.servers.processes import Program
from config.servers.rabbitmq import RabbitMQ
from config.servers.redis import Redis
from config.servers.zookeeper import ZooKeeper


class Server(Protocol):
    """One private server: installed into the run's folder once, started as often as need be."""

    def install(self) -> tuple[Program, ...]:
        """Lay out its folder; what to run, the server itself last."""

    def ready(self) -> bool:
        """Whether it answers now; asked again and again while it starts."""

    def complete(self) -> None:
        """What remains to be done inside the running server, once."""

    def environment(self) -> dict[str, str]:
        """The URLs other processes reach it by."""


#: name → the variable that, when set, says where the server already is.
VARIABLES: Mapping[str, str] = {
    "postgresql": "DATABASE_URL",
    "redis": "REDIS_URL",
    "rabbitmq": "RABBITMQ_URL",
    "zookeeper": "ZOOKEEPER_HOSTS",
}

KINDS: Mapping[str, Callable[[RunFolder], Server]] = {
    "postgresql": PostgreSQL,
    "redis": Redis,
    "rabbitmq": RabbitMQ,
    "zookeeper": ZooKeeper,
}
