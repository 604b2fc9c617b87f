"""System checks of who is called by HTTP, and who may call: `concord.E040` to `W043`."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from django.core.checks import CheckMessage, Error, Tags, Warning, register  # noqa: A004
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, reverse

from coordination import conf
from coordination.checks import TAG
from coordination.kernel.settings import Settings


@register(TAG)
def check_http(app_configs: object, **_: Any) -> list[CheckMessage]:
    """Certificates are there, callers can find an address, and their patterns match something."""
    try:
        settings = conf.current()
    except ImproperlyConfigured:
        return []
    return [*_services(settings), *_callers(settings)]


@register(TAG, Tags.security, deploy=True)
def check_plain_http(app_configs: object, **_: Any) -> list[CheckMessage]:
    """What is sent to services is encrypted."""
    try:
        settings = conf.current()
    except ImproperlyConfigured:
        return []
    return [
        Warning(
            f"COORDINATION['HTTP_PARTICIPANTS'][{pattern!r}] is called without TLS.",
            hint="Use https://, or silence this check if nobody can listen on the way.",
            id="concord.W043",
        )
        for pattern, service in settings.http_participants
        if service.url.startswith("http://")
    ]


def _services(settings: Settings) -> Iterator[CheckMessage]:
    for pattern, service in settings.http_participants:
        if service.ca is not None and not Path(service.ca).is_file():
            yield Error(
                f"COORDINATION['HTTP_PARTICIPANTS'][{pattern!r}]['CA'] is no file: {service.ca}.",
                hint="Name a file of certificates in PEM, or drop CA to trust the system's.",
                id="concord.E040",
            )


def _callers(settings: Settings) -> Iterator[CheckMessage]:
    if not settings.http_callers:
        return
    try:
        reverse("concord_http:participants")
    except (NoReverseMatch, ImproperlyConfigured):
        yield Warning(
            "COORDINATION['HTTP_CALLERS'] names callers, but there is no address for them.",
            hint="Include coordination.http.urls in the project's addresses.",
            id="concord.W041",
        )
    yield from _patterns(settings)


def _patterns(settings: Settings) -> Iterator[CheckMessage]:
    from coordination.transactions.participants import registered

    names = [one.name for one in registered().values() if one.place is None]
    for node, caller in settings.http_callers.items():
        for pattern in caller.participants:
            if not any(fnmatchcase(name, pattern) for name in names):
                yield Warning(
                    f"COORDINATION['HTTP_CALLERS'][{node!r}] may call {pattern!r}, which is no "
                    "participant here.",
                    hint="Register it in an installed app's participants.py, or correct the name.",
                    id="concord.W042",
                )
