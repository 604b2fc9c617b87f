"""The wait-for graph of the moment, from the records of locks with a queue, and past deadlocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coordination.locks import waits
from coordination.locks.records import LockDeadlock, LockRecord
from coordination.locks.types import Mode
from coordination.locks.waits import Contended, Contender, Cycle, Edge
from dashboard.limits import CONTENDED_ROWS, DEADLOCK_ROWS, WAIT_ROWS
from dashboard.queries.bounds import bounded
from dashboard.rows import epoch_ms, moment


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlockRow:
    """A deadlock that was found, and how it was ended."""

    at_ms: int
    contexts: tuple[str, ...]
    keys: tuple[str, ...]
    victim: str
    rule: str
    since_ms: int | None
    """When its last wait began, and closed it."""

    @property
    def lasted_ms(self) -> int | None:
        """From then until it was found."""
        return None if self.since_ms is None else max(0, self.at_ms - self.since_ms)

    def wire(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "at": self.at_ms,
            "contexts": self.contexts,
            "keys": self.keys,
            "victim": self.victim,
            "rule": self.rule,
            "lasted": self.lasted_ms,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Who waits for whom. `total` counts all waits, also those beyond the listed ones."""

    edges: tuple[Edge, ...]
    cycles: tuple[Cycle, ...]
    behind: frozenset[str]
    total: int
    locks: int
    deadlocks: tuple[DeadlockRow, ...]

    def wire(self) -> dict[str, Any]:
        """As JSON; cycles are lists of places in `edges`."""
        place = {edge: index for index, edge in enumerate(self.edges)}
        return {
            "edges": [_edge(edge) for edge in self.edges],
            "cycles": [[place[edge] for edge in cycle.edges] for cycle in self.cycles],
            "behind": sorted(self.behind),
            "total": self.total,
            "locks": self.locks,
            "deadlocks": [row.wire() for row in self.deadlocks],
        }


def read() -> Waits:
    """The graph of now: cycles first, then what is stuck behind them, then the oldest waits."""
    with bounded() as using:
        records = LockRecord.objects.using(using).filter(waiting__gt=0)
        found = list(records.order_by("-waiting", "key")[:CONTENDED_ROWS])
        past = list(LockDeadlock.objects.using(using).order_by("-at")[:DEADLOCK_ROWS])
    every = waits.edges(map(_contended, found))
    cycles = waits.cycles(every)
    behind = waits.behind(every, cycles)
    in_cycle = {edge for cycle in cycles for edge in cycle.edges}
    ranked = sorted(
        dict.fromkeys(every),
        key=lambda edge: (
            edge not in in_cycle,
            edge.waiter not in behind,
            "" if edge.since is None else edge.since.isoformat(),
            edge.key,
            edge.waiter,
        ),
    )
    return Waits(
        edges=tuple(ranked[: max(WAIT_ROWS, len(in_cycle))]),
        cycles=cycles,
        behind=behind,
        total=len(every),
        locks=len(found),
        deadlocks=tuple(map(_deadlock, past)),
    )


def deadlocked() -> int:
    """How many cycles there are now."""
    with bounded() as using:
        records = LockRecord.objects.using(using).filter(waiting__gt=0, holding__gt=0)
        found = list(records.order_by("-waiting", "key")[:CONTENDED_ROWS])
    return len(waits.cycles(waits.edges(map(_contended, found))))


def _contended(record: LockRecord) -> Contended:
    return Contended(
        key=record.key,
        name=record.name,
        holders=tuple(map(_contender, record.holders)),
        waiters=tuple(map(_contender, record.waiters)),
    )


def _contender(claim: Mapping[str, Any]) -> Contender:
    token = claim.get("token")
    owner = claim.get("owner") or "unknown"
    return Contender(
        context=claim.get("context") or f"owner:{owner}",
        owner=owner,
        mode=Mode(claim.get("mode") or Mode.EXCLUSIVE),
        limit=int(claim.get("limit") or 1),
        since=moment(claim.get("since")),
        token=None if token is None else int(token),
    )


def _edge(edge: Edge) -> dict[str, Any]:
    return {
        "waiter": edge.waiter,
        "holder": edge.holder,
        "key": edge.key,
        "name": edge.name,
        "waiter_owner": edge.waiter_owner,
        "holder_owner": edge.holder_owner,
        "since": epoch_ms(edge.since),
        "token": None if edge.token is None else str(edge.token),
        "any_of": edge.any_of,
    }


def _deadlock(row: LockDeadlock) -> DeadlockRow:
    cycle = row.cycle
    began = [each for step in cycle if (each := epoch_ms(step.get("since"))) is not None]
    return DeadlockRow(
        at_ms=epoch_ms(row.at) or 0,
        contexts=tuple(str(step.get("context") or step.get("owner") or "") for step in cycle),
        keys=tuple(str(step.get("waits_for") or "") for step in cycle),
        victim=row.victim,
        rule=row.rule,
        since_ms=max(began, default=None),
    )
