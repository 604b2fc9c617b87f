"""Concord: distributed coordination for Django.

Public names are loaded on first use (PEP 562), because models are not ready when Django imports the
apps in `INSTALLED_APPS`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coordination.counters.api import counter
    from coordination.fencing.api import fenced_value
    from coordination.locks.api import lock
    from coordination.locks.barriers import barrier
    from coordination.locks.decorating import locked
    from coordination.locks.elections import election
    from coordination.locks.multilocks import multilock
    from coordination.locks.semaphores import semaphore
    from coordination.queues.api import queue
    from coordination.queues.message import Message
    from coordination.transactions.api import distributed_transaction
    from coordination.transactions.participants import TCC, Saga, participant
    from coordination.versions.api import optimistic

__all__ = [
    "TCC",
    "Message",
    "Saga",
    "barrier",
    "counter",
    "distributed_transaction",
    "election",
    "exceptions",
    "fenced_value",
    "lock",
    "locked",
    "multilock",
    "optimistic",
    "participant",
    "queue",
    "semaphore",
]

_HOMES = {
    "Message": "coordination.queues.message",
    "Saga": "coordination.transactions.participants",
    "TCC": "coordination.transactions.participants",
    "barrier": "coordination.locks.barriers",
    "counter": "coordination.counters.api",
    "distributed_transaction": "coordination.transactions.api",
    "election": "coordination.locks.elections",
    "fenced_value": "coordination.fencing.api",
    "lock": "coordination.locks.api",
    "locked": "coordination.locks.decorating",
    "multilock": "coordination.locks.multilocks",
    "optimistic": "coordination.versions.api",
    "participant": "coordination.transactions.participants",
    "queue": "coordination.queues.api",
    "semaphore": "coordination.locks.semaphores",
}


def __getattr__(name: str) -> Any:
    if name == "exceptions":
        return import_module("coordination.exceptions")
    if name not in _HOMES:
        raise AttributeError(f"module 'coordination' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
