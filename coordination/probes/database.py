"""One database: reachable, recent, able to prepare transactions, durable, migrated."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004
from django.db import Error as DatabaseError
from django.db import connections

from coordination.probes import Probe

VERSION_MIN = 150_000
PREPARED_MIN = 64
CONNECTIONS_SHARE_MAX = 0.8
"""Share of a server's connections beyond which a restart of ours may find none."""
_TABLES: Mapping[str, tuple[str, ...]] = {
    "coordinator": ("concord_transaction", "concord_branch", "concord_event"),
    "xa": ("concord_witness",),
    "tcc": ("concord_barrier",),
    "saga": ("concord_barrier",),
    "locks": (
        *("concord_event", "concord_lock", "concord_lock_claim", "concord_lock_answer"),
        *("concord_lock_floor", "concord_counter", "concord_counter_answer"),
    ),
}
_FACTS = """
SELECT current_setting('server_version_num')::int, current_setting('server_version'),
       current_setting('max_prepared_transactions')::int,
       (SELECT count(*) FROM pg_prepared_xacts),
       current_setting('fsync'), current_setting('synchronous_commit'),
       current_setting('max_connections')::int
           - current_setting('superuser_reserved_connections')::int,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a PostgreSQL server says of itself, in the order of `_FACTS`."""

    number: int
    version: str
    prepared_max: int
    prepared: int
    fsync: str
    synchronous_commit: str
    connections_max: int
    connections: int


def probe(alias: str, needs: frozenset[str]) -> Probe:
    """Ask one database; never raises for one that is down.

    Args:
        alias: Django's alias.
        needs: what Concord does in it: of ``coordinator``, ``xa``, ``tcc`` and ``locks``.
    """
    name = f"database {alias}"
    connection = connections[alias]
    try:
        with connection.cursor() as cursor:
            detail, messages = f"{connection.vendor}", []
            if connection.vendor == "postgresql":
                cursor.execute(_FACTS)
                facts = Facts(*cursor.fetchone())
                detail = _described(facts)
                messages = list(judge(alias, needs, facts))
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


def _described(facts: Facts) -> str:
    return (
        f"PostgreSQL {facts.version}, {facts.prepared} of {facts.prepared_max} prepared "
        f"transactions and {facts.connections} of {facts.connections_max} connections in use, "
        f"fsync {facts.fsync}, synchronous_commit {facts.synchronous_commit}"
    )


def judge(alias: str, needs: frozenset[str], facts: Facts) -> Iterator[CheckMessage]:
    """What is wrong with a server for what Concord needs of it."""
    if needs and facts.number < VERSION_MIN:
        yield Error(
            f"The database {alias!r} is PostgreSQL {facts.version}.",
            hint="PostgreSQL 15 or later is needed.",
            id="concord.E121",
        )
    if "xa" in needs and facts.prepared_max < PREPARED_MIN:
        kind, number_text = (Error, "E122") if facts.prepared_max == 0 else (Warning, "W122")
        yield kind(
            f"max_prepared_transactions is {facts.prepared_max} in the database {alias!r}, where "
            "xa participants work.",
            hint=f"Set it to at least {PREPARED_MIN}, and max_connections no higher than it if "
            "every connection may prepare; then restart PostgreSQL.",
            id=f"concord.{number_text}",
        )
    if needs and "off" in (facts.fsync, facts.synchronous_commit):
        yield Warning(
            f"The database {alias!r} may forget what it committed (fsync {facts.fsync}, "
            f"synchronous_commit {facts.synchronous_commit}).",
            hint="A lost vote or outcome breaks atomicity: turn both on.",
            id="concord.W128",
        )
    if needs and facts.connections > CONNECTIONS_SHARE_MAX * facts.connections_max:
        yield Warning(
            f"The server of the database {alias!r} has {facts.connections} of "
            f"{facts.connections_max} connections in use.",
            hint="Every thread of ours keeps one to each database, and a process that is started "
            "again may find none: raise max_connections, or run fewer threads.",
            id="concord.W130",
        )


def _missing(alias: str, needs: frozenset[str], present: list[str]) -> Iterator[CheckMessage]:
    wanted = sorted({table for need in needs for table in _TABLES[need]})
    missing = [table for table in wanted if table not in present]
    if not missing:
        return
    hint = f"Run manage.py migrate --database={alias}."
    if set(missing) <= set(_TABLES["locks"]):
        hint += (
            " If it finds nothing to do, a store was named there after it had run: first "
            f"manage.py migrate --database={alias} --fake coordination 0002."
        )
    yield Warning(
        f"The database {alias!r} lacks {', '.join(missing)}.", hint=hint, id="concord.W123"
    )
