"""This process's seat at the coordinator's tables: the store, and the name it signs with."""

import os
import socket
from functools import lru_cache

from coordination import conf
from coordination.transactions.stores.database import DatabaseStore


def store() -> DatabaseStore:
    """The rows of transactions, as the settings place them."""
    settings = conf.current().transactions
    return _store(settings.using, settings.patience_ms)


@lru_cache(maxsize=4)
def _store(using: str, patience_ms: int) -> DatabaseStore:
    return DatabaseStore(using, patience_ms=patience_ms)


def identity() -> str:
    """Who acts here, for the history: host and process id. Nothing depends on it."""
    return f"{_host()}:{os.getpid()}"


@lru_cache(maxsize=1)
def _host() -> str:
    return socket.gethostname().split(".")[0][:40]
