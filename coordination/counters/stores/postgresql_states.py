"""How counters in PostgreSQL stand; their events are among those of the project already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from coordination.counters.foreign import CellName
from coordination.counters.stores.postgresql import PostgresCounters
from coordination.counters.types import Reading

READ = """
SELECT name, shard, value, version FROM concord_counter
WHERE name = ANY (string_to_array({}, E'\\n'))
"""


class PostgresCounterStates:
    """Counters of one PostgreSQL store; see `coordination.counters.foreign.CounterStates`."""

    def __init__(self, counters: PostgresCounters) -> None:
        self.alias = counters.alias
        self._counters = counters

    def states(self, cells: Sequence[CellName]) -> Mapping[CellName, Reading]:
        """Those that were ever written, all of one moment."""
        names = "\n".join(sorted({cell.name for cell in cells}))
        found = {
            CellName(name, int(shard)): Reading(int(value), int(version))
            for name, shard, value, version in self._counters.run(READ, names)
        }
        return {cell: found[cell] for cell in cells if cell in found}
