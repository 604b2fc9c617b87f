"""Concord: distributed coordination for Django.

Public names are loaded on first use (PEP 562), because models are not ready when Django imports the
apps in `INSTALLED_APPS`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coordination.locks.api import lock
    from coordination.transactions.api import distributed_transaction
    from coordination.transactions.participants import TCC, participant

__all__ = ["TCC", "distributed_transaction", "exceptions", "lock", "participant"]

_HOMES = {
    "TCC": "coordination.transactions.participants",
    "distributed_transaction": "coordination.transactions.api",
    "lock": "coordination.locks.api",
    "participant": "coordination.transactions.participants",
}


def __getattr__(name: str) -> Any:
    if name == "exceptions":
        return import_module("coordination.exceptions")
    if name not in _HOMES:
        raise AttributeError(f"module 'coordination' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
