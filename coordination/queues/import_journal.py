"""What the importer of queues keeps; see `coordination.observing.import_journal`."""

from typing import Final

from coordination.observing.import_journal import ImportJournal

KIND: Final = "queue"
# Each is an object of its own, so nobody gives it a version; its cursor copies it once.
COPY: Final = """
INSERT INTO concord_event (kind, object, name, version, at, node, actor, data)
SELECT kind, 'queue', name, 1, at, node, actor, data FROM jsonb_to_recordset(%s::jsonb)
    AS x(place int, kind text, name text, at timestamptz, node text, actor text, data jsonb)
ORDER BY place ON CONFLICT (object, name, version) DO NOTHING
"""


def journal(using: str) -> ImportJournal:
    """Cursors and events of queues in the database alias `using`."""
    return ImportJournal(using, kind=KIND, copy=COPY)
