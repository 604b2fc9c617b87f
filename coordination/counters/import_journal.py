"""What the importer of counters keeps; see `coordination.observing.import_journal`."""

from __future__ import annotations

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.observing.import_journal import ImportJournal, versioned_copy

KIND = "counter"
COPY = versioned_copy(KIND, "concord_counter_record")
KNOWN = "SELECT name FROM concord_counter_record WHERE store = %s AND shard = 0"


class CounterImportJournal(ImportJournal):
    """Cursors and events of counters in the database alias `using`."""

    def __init__(self, using: str) -> None:
        super().__init__(using, kind=KIND, copy=COPY)

    def known(self, alias: str) -> list[str]:
        """The counters of a store that have records."""
        return [row[0] for row in database.run(self.using, Statement(KNOWN, (alias,)))[0].rows]
