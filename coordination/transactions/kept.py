"""Room that stores hold for transactions of this node, and letting go of it where no row is left.

The branch of every hold is asked for until it has ended, so this is for people: it shows what open
transactions hold, and frees what a coordinator that lost its rows has left behind.
"""

from collections.abc import Iterator
from typing import NamedTuple

from coordination import conf
from coordination.counters.stores.holds import counter_holds
from coordination.counters.types import Rules
from coordination.exceptions import CoordinationError, NotSupportedByStore
from coordination.kernel.gids import parse_branch_gid
from coordination.kernel.holds import HoldState
from coordination.queues import declaring, options
from coordination.queues.stores.holds import queue_holds

COUNTER, QUEUE = "counter", "queue"


class Held(NamedTuple):
    """A hold, and the transaction that it is kept for."""

    gid: str
    branch: str
    kind: str
    """COUNTER or QUEUE."""
    name: str
    store: str
    amount: int


class Unseen(NamedTuple):
    """A store that did not answer, and why."""

    store: str
    reason: str


def holds() -> tuple[list[Held], list[Unseen]]:
    """Those of every store, and the stores that could not be asked."""
    found: list[Held] = []
    unseen: list[Unseen] = []
    for alias in conf.current().stores:
        for kind in (COUNTER, QUEUE):
            try:
                found += _of_store(kind, alias)
            except NotSupportedByStore:
                continue
            except CoordinationError as error:
                unseen.append(Unseen(alias, str(error)))
    return found, unseen


def let_go(held: Held) -> bool:
    """Free the room, for good. False: it was used up meanwhile."""
    if held.kind == COUNTER:
        kept = counter_holds(held.store)
        assert kept is not None
        return kept.cancel(Rules(held.name), branch=held.branch) is HoldState.CANCELLED
    room = queue_holds(held.store)
    assert room is not None
    queue = declaring.first(held.name, {}, defaults=options.defaults())
    return room.cancel(queue, [], branch=held.branch) is HoldState.CANCELLED


def _of_store(kind: str, alias: str) -> Iterator[Held]:
    kept = counter_holds(alias) if kind == COUNTER else queue_holds(alias)
    for name, branch, amount in [] if kept is None else kept.kept():
        parsed = parse_branch_gid(branch)
        if parsed is not None and branch.startswith(f"cc:{conf.current().node}-"):
            yield Held(parsed[0], branch, kind, name, alias, amount)
