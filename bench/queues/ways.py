"""The ways to queue messages that are compared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

MANY = 64
"""Of a batch, or in flight."""
WAIT_S = 0.1
"""How long a consumer waits for messages before it looks whether it is done."""


class Hands(Protocol):
    """What a consumer tells of its work, and asks."""

    def ready(self) -> None:
        """It consumes from now on; returns when the producer does, too."""

    def take(self, bodies: Sequence[str]) -> None:
        """It has these. They are to be acked after this."""

    def acked(self) -> None:
        """All that it had is acked."""

    @property
    def complete(self) -> bool:
        """Whether it has had all there were, or nothing came for too long."""


Publish = Callable[[Sequence[str]], None]
"""Publishes these, and returns when all of them are safe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to queue messages. Each function opens what it needs in the calling process."""

    name: str
    publisher: Callable[[str], Publish]
    consume: Callable[[str, Hands], None]
    """Takes and acks messages of a queue until it is complete."""
    make: Callable[[str], None]
    """Makes the queue."""
    left: Callable[[str], int]
    """How many messages are in it that are not acked; throws it away."""
    batch: int = MANY
    """How many are given to `publisher` at once."""


def groups() -> Mapping[str, list[Way]]:
    """Ways by the server they use."""
    from bench.queues import concord, database_peers, rabbitmq_peers, redis_peers, task_peers

    return {
        "Redis": [*redis_peers.WAYS, *task_peers.ON_REDIS, *concord.ON_REDIS],
        "RabbitMQ": [*rabbitmq_peers.WAYS, *task_peers.ON_RABBITMQ, *concord.ON_RABBITMQ],
        "PostgreSQL": [*database_peers.WAYS, *task_peers.ON_POSTGRESQL, *concord.ON_DATABASES],
    }
