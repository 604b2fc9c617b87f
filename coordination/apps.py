"""Start-up of the reusable app."""

from django.apps import AppConfig
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import autodiscover_modules


class CoordinationConfig(AppConfig):
    """Locks, counters, queues, caches and distributed transactions for a Django project."""

    name = "coordination"
    verbose_name = "Coordination"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks and the participants of every installed app."""
        from coordination import checks  # noqa: F401  registers by import
        from coordination.http import checks as http_checks  # noqa: F401
        from coordination.locks import context  # noqa: F401  hears of every task that begins

        _refuse_stray_failpoints()
        autodiscover_modules("participants")


def _refuse_stray_failpoints() -> None:
    from coordination import conf, failpoints

    if failpoints.enabled() and not conf.current().failpoints:
        raise ImproperlyConfigured(
            f"{failpoints.ENVIRONMENT} is set: this process would obey a directory that tells it "
            "to kill itself. Unset it, or in a test set COORDINATION['FAILPOINTS'] = True."
        )
