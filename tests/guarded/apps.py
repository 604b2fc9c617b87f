"""The app's entry in INSTALLED_APPS."""

from django.apps import AppConfig


class GuardedConfig(AppConfig):
    """Tables that tests create and drop themselves."""

    name = "tests.guarded"
    label = "guarded"
    default_auto_field = "django.db.models.BigAutoField"
