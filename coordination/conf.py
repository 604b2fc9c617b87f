"""The project's COORDINATION setting: the only reader of Django's settings for it."""

from functools import lru_cache

from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from coordination.kernel.settings import Settings
from coordination.kernel.settings_parser import SettingsFault, parse_settings


@lru_cache(maxsize=1)
def current() -> Settings:
    """Return the project's settings, parsed once.

    Raises:
        ImproperlyConfigured: COORDINATION is not valid; the message names key, value and rule.
    """
    try:
        return parse_settings(getattr(django_settings, "COORDINATION", {}))
    except SettingsFault as fault:
        raise ImproperlyConfigured(str(fault)) from None


def _forget(*, setting: str, **_: object) -> None:
    if setting == "COORDINATION":
        current.cache_clear()


setting_changed.connect(_forget, dispatch_uid="coordination.conf")
