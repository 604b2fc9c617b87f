"""Which of Concord's tables belong into which database."""

from typing import Any

from django.db import connections

from coordination import conf
from coordination.kernel.settings import DATABASE

EVERYWHERE = frozenset({"witness", "barrier", "outboxmessage"})
LOCKS = frozenset({"lockrow", "lockclaim", "lockanswer", "lockfloor"})
"""In the databases whose stores have locks; there the events of locks are written, too."""
CONSENSUS = frozenset({"registerrow", "acceptorcell", "consensusseat"})
"""In PostgreSQL where stores are."""
QUEUES = frozenset(
    {"queuerow", "queuemessage", "queuetally", "queueanswer", "queuededup", "queuewaiter"}
)
"""In the databases whose stores have queues, whichever they are."""
OF_STORES = frozenset({"optimisticvalue", "counterrow", "counteranswer"})
"""In every database that COORDINATION["STORES"] names."""


OF_SQLITE = frozenset({"counterevent", "queueevent", "counterhold", "queuehold"})
"""In SQLite files that are database stores."""


class CoordinationRouter:
    """Put witnesses, barriers, outboxes everywhere, locks where stores are, the rest centrally.

    The rest is in the coordinator's database; tables of database stores are in each store's own
    database besides.

    Add "coordination.routers.CoordinationRouter" to DATABASE_ROUTERS, then run `migrate
    --database=<alias> coordination` for every alias that participants or database stores use.
    """

    def allow_migrate(
        self, db: str, app_label: str, model_name: str | None = None, **hints: Any
    ) -> bool | None:
        """Say so for our own models; None leaves others to other routers."""
        if app_label != "coordination" or model_name is None:
            return None
        if model_name in LOCKS | CONSENSUS:
            return has_locks(db)
        if model_name in QUEUES:
            return has_locks(db) or _keeps_sqlite(db)
        if model_name in OF_SQLITE:
            return _keeps_sqlite(db)
        if model_name == "event" and has_locks(db):
            return True
        if model_name in EVERYWHERE or db == conf.current().transactions.using:
            return True
        return model_name in OF_STORES and db in _stores()

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        """The coordinator's database; others are always read with an explicit alias."""
        if model._meta.app_label != "coordination":
            return None
        return conf.current().transactions.using

    db_for_write = db_for_read


def _stores() -> set[str]:
    return {store.using for store in conf.current().stores.values()}


def has_locks(db: str) -> bool:
    """Whether a database store's locks are in this PostgreSQL; on SQLite they have a file."""
    # The coordinator's has them always: a store may be named there later.
    settings = conf.current()
    used = {settings.transactions.using} | {
        store.using for store in settings.stores.values() if store.backend == DATABASE
    }
    return db in used and connections[db].vendor == "postgresql"


def _keeps_sqlite(db: str) -> bool:
    """Whether a database store is this SQLite."""
    used = {store.using for store in conf.current().stores.values() if store.backend == DATABASE}
    return db in used and connections[db].vendor == "sqlite"
