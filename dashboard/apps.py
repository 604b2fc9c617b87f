"""The dashboard as a Django app."""

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    """Pages and live feed of Concord."""

    name = "dashboard"
    verbose_name = "Concord dashboard"
    default_auto_field = "django.db.models.BigAutoField"
