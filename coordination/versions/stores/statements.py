"""The statements of optimistic names, as each database wants them.

The rows of the last statement of each group tell whether it holds. PostgreSQL writes the event in
the statement that writes the value, where the table of events is.
"""

from dataclasses import dataclass, replace
from functools import cache


@dataclass(frozen=True, slots=True)
class Text:
    """One statement and the names of its parameters, in order."""

    sql: str
    takes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """What a database runs for each verb; statements of one group are sent together."""

    read: Text
    insert: tuple[Text, ...]
    update: tuple[Text, ...]
    stands: tuple[Text, ...]
    absent: tuple[Text, ...]


READ = Text("SELECT version, value FROM concord_optimistic WHERE name = %s", ("name",))
INSERT = """
INSERT INTO concord_optimistic (name, version, value, changed_at) VALUES (%s, 1, {value}, {now})
ON CONFLICT (name) DO NOTHING RETURNING name, version
"""
UPDATE = """
UPDATE concord_optimistic SET value = {value}, version = version + 1, changed_at = {now}
WHERE name = %s AND version = %s RETURNING name, version
"""
STANDS = "SELECT 1 FROM concord_optimistic WHERE name = %s AND version = %s"
ABSENT = Text(
    "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM concord_optimistic WHERE name = %s)", ("name",)
)
# An older event of this version is one of a row that somebody deleted past Concord.
WITH_EVENT = """
WITH moved AS ({change}), told AS (
    INSERT INTO concord_event (kind, object, name, version, node, data)
    SELECT 'optimistic.set', 'optimistic', name, version, %s,
        jsonb_build_object('bytes', %s::bigint)
    FROM moved ON CONFLICT (object, name, version) DO NOTHING
) SELECT version FROM moved
"""
# What is absent cannot be locked, so whoever relies on that shares a lock that inserting takes.
ALONE = Text("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1131371811))", ("name",))
SHARED = Text("SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 1131371811))", ("name",))


@cache
def statements_of(vendor: str, *, with_events: bool) -> Statements:
    """The statements for a database of Django's `vendor`; events only where their table is."""
    if vendor != "postgresql":
        now, value = "strftime('%%Y-%%m-%%d %%H:%%M:%%f', 'now')", "%s"
    else:
        now, value = "clock_timestamp()", "%s::jsonb"
    plain = Statements(
        read=READ,
        insert=(Text(INSERT.format(now=now, value=value), ("name", "value")),),
        update=(Text(UPDATE.format(now=now, value=value), ("value", "name", "version")),),
        stands=(Text(STANDS, ("name", "version")),),
        absent=(ABSENT,),
    )
    if vendor != "postgresql":
        return plain
    (insert,), (update,) = plain.insert, plain.update
    if with_events:
        insert, update = _with_event(insert), _with_event(update)
    return replace(
        plain,
        insert=(ALONE, insert),
        update=(update,),
        # Nobody may write it between this look and the commit.
        stands=(Text(f"{STANDS} FOR SHARE", ("name", "version")),),
        absent=(SHARED, ABSENT),
    )


def _with_event(change: Text) -> Text:
    return Text(WITH_EVENT.format(change=change.sql), (*change.takes, "node", "bytes"))
