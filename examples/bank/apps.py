"""The bank as a Django app."""

from importlib import import_module

from django.apps import AppConfig, apps


class BankConfig(AppConfig):
    """Registers the bank's total with the dashboard where that is installed."""

    name = "examples.bank"
    label = "bank"
    verbose_name = "Bank (demo)"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Show the total on the overview; the bank does not depend on the dashboard."""
        if not apps.is_installed("dashboard"):
            return
        from examples.bank.panel import TotalPanel

        panels = import_module("dashboard.panels")
        panels.register("bank-total", "Money in the bank", TotalPanel().rows)
