"""System checks of the acceptors that the settings name; registered by `coordination.checks`."""

from collections.abc import Iterator

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004

from coordination.consensus.acceptors import acceptor_of
from coordination.exceptions import CoordinationError
from coordination.kernel.settings import DATABASE, Settings


def check_acceptors(settings: Settings) -> Iterator[CheckMessage]:
    """Each acceptor's store can be one, and no two are one server.

    That there are three or more, an odd number, and no RabbitMQ among them, the settings see to.
    """
    homes: dict[tuple[str, str], str] = {}
    for alias in settings.consensus.acceptors:
        where = f"COORDINATION['CONSENSUS']['ACCEPTORS'] names {alias!r}"
        try:
            acceptor_of(alias)
        except CoordinationError as error:
            yield Error(
                f"{where}: {error}",
                hint="Acceptors are Redis, ZooKeeper and PostgreSQL stores.",
                id="concord.E040",
            )
            continue
        store = settings.stores[alias]
        if store.backend != DATABASE:
            continue
        home = _server_of(store.using)
        if (other := homes.setdefault(home, alias)) != alias:
            yield Warning(
                f"{where}, a database of the same PostgreSQL server as {other!r}.",
                hint="Two acceptors that are lost together count as two: put each on a server of "
                "its own.",
                id="concord.W041",
            )


def _server_of(alias: str) -> tuple[str, str]:
    database = django_settings.DATABASES[alias]
    host = str(database.get("HOST") or "localhost")
    host = "localhost" if host in ("127.0.0.1", "::1") else host
    return host, str(database.get("PORT") or "5432")
