"""Keeps the bank's tables in the bank's databases, and everybody else's out of them."""

from typing import Any

from django.db.models import Model

from examples.bank.homes import ALIASES


class BankRouter:
    """Reads and writes name their database by `using`; this router only guards migrations."""

    app_label = "bank"
    guest_label = "coordination"
    """Concord keeps its witnesses and barriers in every database that has participants."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        """The database an account was read from; None leaves the choice to the next router."""
        return self._database(model, hints)

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        """The database an account was read from; None leaves the choice to the next router."""
        return self._database(model, hints)

    def allow_migrate(self, db: str, app_label: str, **_: Any) -> bool | None:
        """The bank's databases have the bank's tables, which live nowhere else, and Concord's."""
        if app_label == self.app_label:
            return db in ALIASES
        if db in ALIASES and app_label != self.guest_label:
            return False
        return None

    def _database(self, model: type[Model], hints: dict[str, Any]) -> str | None:
        instance = hints.get("instance")
        if model._meta.app_label != self.app_label or instance is None:
            return None
        database: str | None = instance._state.db
        return database
