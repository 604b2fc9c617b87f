"""What the importer of locks keeps; see `coordination.observing.import_journal`."""

from __future__ import annotations

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.observing.import_journal import ImportJournal, versioned_copy

KIND = "lock"
COPY = versioned_copy(KIND, "concord_lock_record")
LIVE = """
SELECT kind, name FROM concord_lock_record
WHERE store = %s AND (holding > 0 OR waiting > 0 OR gap)
"""


class LockImportJournal(ImportJournal):
    """Cursors and events of locks in the database alias `using`."""

    def __init__(self, using: str) -> None:
        super().__init__(using, kind=KIND, copy=COPY)

    def live(self, alias: str) -> list[tuple[str, str]]:
        """Kind and name of what the records of a store show in use, or do not know whole."""
        rows = database.run(self.using, Statement(LIVE, (alias,)))[0].rows
        return [(kind, name) for kind, name in rows]
