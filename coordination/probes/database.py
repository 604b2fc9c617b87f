"""One database: reachable, recent, able to prepare transactions, durable, migrated."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004
from django.db import Error as DatabaseError
from django.db import connections

from coordination.probes import Probe

VERSION_MIN = 150_000
PREPARED_MIN = 64
_TABLES: Mapping[str, tuple[str, ...]] = {
    "coordinator": ("concord_transaction", "concord_branch", "concord_event"),
    "xa": ("concord_witness",),
    "tcc": ("concord_barrier",),
}
_FACTS = """
SELECT current_setting('server_version_num')::int, current_setting('server_version'),
       current_setting('max_prepared_transactions')::int,
       (SELECT count(*) FROM pg_prepared_xacts),
       current_setting('fsync'), current_setting('synchronous_commit')
"""


def probe(alias: str, needs: frozenset[str]) -> Probe:
    """Ask one database; never raises for one that is down.

    Args:
        alias: Django's alias.
        needs: what Concord does in it: of ``coordinator``, ``xa`` and ``tcc``.
    """
    name = f"database {alias}"
    connection = connections[alias]
    try:
        with connection.cursor() as cursor:
            detail, messages = f"{connection.vendor}", []
            if connection.vendor == "postgresql":
                cursor.execute(_FACTS)
                facts = cursor.fetchone()
                detail = _described(facts)
                messages = list(_judge(alias, needs, facts))
            messages += _missing(alias, needs, connection.introspection.table_names(cursor))
    except DatabaseError as error:
        # psycopg's message names host and port on lines of their own.
        reason = " ".join(str(error).split())
        message = Warning(
            f"The database {alias!r} does not answer: {reason}",
            hint="Is it running? Are its settings in DATABASES right?",
            id="concord.W120",
        )
        return Probe(name=name, answered=False, detail=reason, messages=(message,))
    return Probe(name=name, answered=True, detail=detail, messages=tuple(messages))


def _described(facts: tuple[Any, ...]) -> str:
    _, version, most, used, fsync, synchronous = facts
    return (
        f"PostgreSQL {version}, {used} of {most} prepared transactions in use, "
        f"fsync {fsync}, synchronous_commit {synchronous}"
    )


def _judge(alias: str, needs: frozenset[str], facts: tuple[Any, ...]) -> Iterator[CheckMessage]:
    number, version, most, _, fsync, synchronous = facts
    if needs and number < VERSION_MIN:
        yield Error(
            f"The database {alias!r} is PostgreSQL {version}.",
            hint="PostgreSQL 15 or later is needed.",
            id="concord.E121",
        )
    if "xa" in needs and most < PREPARED_MIN:
        kind, number_text = (Error, "E122") if most == 0 else (Warning, "W122")
        yield kind(
            f"max_prepared_transactions is {most} in the database {alias!r}, where xa "
            "participants work.",
            hint=f"Set it to at least {PREPARED_MIN}, and max_connections no higher than it if "
            "every connection may prepare; then restart PostgreSQL.",
            id=f"concord.{number_text}",
        )
    if needs and "off" in (fsync, synchronous):
        yield Warning(
            f"The database {alias!r} may forget what it committed (fsync {fsync}, "
            f"synchronous_commit {synchronous}).",
            hint="A lost vote or outcome breaks atomicity: turn both on.",
            id="concord.W128",
        )


def _missing(alias: str, needs: frozenset[str], present: list[str]) -> Iterator[CheckMessage]:
    wanted = [table for need in sorted(needs) for table in _TABLES[need]]
    missing = [table for table in wanted if table not in present]
    if missing:
        yield Warning(
            f"The database {alias!r} lacks {', '.join(missing)}.",
            hint=f"Run manage.py migrate --database={alias}.",
            id="concord.W123",
        )
