"""Private servers: PostgreSQL, Redis, RabbitMQ and ZooKeeper, found or started for one command.

``with Servers("postgresql", "redis") as servers:`` gives ``servers.environment``, the URLs every
other process is told. Whatever the environment already names is used and never started.
"""

from config.servers.client import Servers
from config.servers.errors import ServerError

__all__ = ["ServerError", "Servers"]
