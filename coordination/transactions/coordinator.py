"""This process's seat at the coordinator's tables: the store, and the name it signs with."""

from functools import lru_cache

from coordination import conf
from coordination.identity import identity
from coordination.transactions.stores.database import DatabaseStore

__all__ = ["identity", "store"]


def store() -> DatabaseStore:
    """The rows of transactions, as the settings place them."""
    settings = conf.current().transactions
    return _store(settings.using, settings.patience_ms)


@lru_cache(maxsize=4)
def _store(using: str, patience_ms: int) -> DatabaseStore:
    return DatabaseStore(using, patience_ms=patience_ms)
