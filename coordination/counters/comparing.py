"""Asks stores how their counters stand, and holds it against what their events come to.

A value that was changed behind our back leaves no event, so only its store can tell of it. What
does not agree may be on its way: it is taken for a finding only when it stays so, with nothing
recorded meanwhile. One round over all counters takes as many seconds as there are hundreds of them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coordination.counters.foreign import CellName, CounterStates
from coordination.counters.judging import Finding, Watch, compare
from coordination.counters.types import Reading
from coordination.counters.watches import next_watches, read_watches
from coordination.exceptions import CoordinationError

logger = logging.getLogger(__name__)

ROWS_MAX = 100
"""Asked about at once, and those in suspicion besides."""
EVERY_S = 1.0
RETRY_S = 5.0
"""A store that did not answer is not asked again for so long: the auditor waits for its answer."""
SURE_S = 3.0
SURE_AHEAD_S = 10.0
"""A store that is ahead of its events: they take longer to come than to be lost."""

_NEVER = Reading(0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What one round came to: rows that do not agree, and how many were compared."""

    watches: Mapping[str, Watch] = field(default_factory=dict)
    """As they go on from there."""
    findings: Sequence[Finding] = ()
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Suspicion:
    version: int
    """Of the last event that was judged."""
    stands: Reading
    since: float


class Comparing:
    """Compares the watches in the database alias `using` with their stores, some at a time."""

    def __init__(
        self, using: str, stores: Sequence[CounterStates], *, every_s: float = EVERY_S
    ) -> None:
        self._using, self._every_s = using, every_s
        self._stores = {store.alias: store for store in stores}
        self._after = ""
        self._due_at = 0.0
        self._not_before: dict[str, float] = {}
        self._suspected: dict[str, _Suspicion] = {}

    def step(self, *, passed_over: Container[str]) -> Compared:
        """Compare some, unless it is not yet time; `passed_over` has just changed.

        Raises what `database.run` raises.
        """
        now = time.monotonic()
        if now < self._due_at:
            return Compared()
        self._due_at = now + self._every_s
        page = next_watches(self._using, self._after, limit=ROWS_MAX)
        self._after = page[-1].key if len(page) == ROWS_MAX else ""
        watches = {each.key: each for each in page} | read_watches(self._using, self._suspected)
        watches = {key: each for key, each in watches.items() if each.known}
        stands, silent = self._ask(watches, now)
        findings: list[Finding] = []
        changed: dict[str, Watch] = {}
        for key, reading in stands.items():
            if key in passed_over or not self._sure(watches[key], reading, now):
                continue
            finding = compare(watches[key], reading)
            if finding is not None:
                findings.append(finding)
                changed[key] = watches[key]
                del self._suspected[key]
        evidence = {"compared": len(stands), "not_compared": ", ".join(sorted(silent))}
        return Compared(watches=changed, findings=findings, evidence=evidence)

    def _sure(self, watch: Watch, stands: Reading, now: float) -> bool:
        """Whether it has been seen so for long enough, with nothing judged meanwhile."""
        if (stands.value, stands.version) == (watch.value, watch.writes):
            self._suspected.pop(watch.key, None)
            return False
        known = self._suspected.get(watch.key)
        if known is None or (known.version, known.stands) != (watch.version, stands):
            self._suspected[watch.key] = _Suspicion(watch.version, stands, now)
            return False
        ahead = stands.version > watch.writes
        return now - known.since >= (SURE_AHEAD_S if ahead else SURE_S)

    def _ask(self, watches: Mapping[str, Watch], now: float) -> tuple[dict[str, Reading], set[str]]:
        """How they stand, and which stores did not say."""
        cells: dict[str, dict[CellName, str]] = {}
        for key in watches:
            alias, name, *shard = key.split(" ")
            cells.setdefault(alias, {})[CellName(name, int(shard[0]) if shard else 0)] = key
        found: dict[str, Reading] = {}
        silent: set[str] = set()
        for alias, asked in cells.items():
            store = self._stores.get(alias)
            if store is None or now < self._not_before.get(alias, 0):
                silent.add(alias)
                continue
            try:
                states = store.states(list(asked))
            except CoordinationError as error:
                logger.info("counters of %s were not compared: %s", alias, error)
                self._not_before[alias] = time.monotonic() + RETRY_S
                silent.add(alias)
            else:
                found |= {key: states.get(cell, _NEVER) for cell, key in asked.items()}
        return found, silent
