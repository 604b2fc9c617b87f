"""Which of Concord's tables belong into which database."""

from typing import Any

from coordination import conf

EVERYWHERE = frozenset({"witness", "barrier"})


class CoordinationRouter:
    """Put witnesses and barriers everywhere, and all else into the coordinator's database.

    Add "coordination.routers.CoordinationRouter" to DATABASE_ROUTERS, then run `migrate
    --database=<alias> coordination` for every alias that participants use.
    """

    def allow_migrate(
        self, db: str, app_label: str, model_name: str | None = None, **hints: Any
    ) -> bool | None:
        """Say so for our own models; None leaves others to other routers."""
        if app_label != "coordination" or model_name is None:
            return None
        return model_name in EVERYWHERE or db == conf.current().transactions.using

    def db_for_read(self, model: Any, **hints: Any) -> str | None:
        """The coordinator's database; witnesses are always read with an explicit alias."""
        if model._meta.app_label != "coordination":
            return None
        return conf.current().transactions.using

    db_for_write = db_for_read
