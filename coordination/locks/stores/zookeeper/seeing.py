"""Seeing who holds a name and who waits; nothing is changed."""

from collections.abc import Iterable

from coordination.connections.zookeeper_errors import ZooKeeperRefused
from coordination.connections.zookeeper_requests import Children, Sync
from coordination.locks.stores.zookeeper import line as lines
from coordination.locks.stores.zookeeper.line import Line
from coordination.locks.stores.zookeeper.paths import unquoted
from coordination.locks.stores.zookeeper.shared import Shared
from coordination.locks.stores.zookeeper.turn import Turn
from coordination.locks.types import Claimant, Kind, LockInfo, Mode, Resource, State, moment

SEEN_MAX = 1_000
BATCH = 100


def info(shared: Shared, turn: Turn, resource: Resource, *, ended: bool = False) -> LockInfo:
    """How a name stands; with claims that ran out and are not removed yet if `ended`."""
    turn.now()
    _, reply = turn.ask(Sync(shared.tree.top), Children(shared.tree.name(resource)))
    return _seen(shared, turn, resource, lines.listed(shared, resource, reply), ended=ended)


def used(shared: Shared, turn: Turn) -> list[Resource]:
    """Every name that somebody holds or waits for."""
    turn.ask(Sync(shared.tree.top))
    return [line.resource for line in _lines(shared, turn) if line.names]


def contended(shared: Shared, turn: Turn) -> list[LockInfo]:
    """Every name that somebody waits for."""
    turn.ask(Sync(shared.tree.top))
    found: list[LockInfo] = []
    for line in _lines(shared, turn):
        waits = len(line.names) > line.admitted
        if waits and (seen := _seen(shared, turn, line.resource, line)).waiters:
            found.append(seen)
    return found


def _lines(shared: Shared, turn: Turn) -> Iterable[Line]:
    for kind in Kind:
        (reply,) = turn.ask(Children(shared.tree.kind(kind)))
        if isinstance(reply, ZooKeeperRefused):
            continue
        resources = [Resource(kind, unquoted(node)) for node in reply[0]]
        for at in range(0, len(resources), BATCH):
            batch = resources[at : at + BATCH]
            replies = turn.ask(*(Children(shared.tree.name(each)) for each in batch))
            for resource, names in zip(batch, replies, strict=True):
                line = lines.listed(shared, resource, names)
                if line is not None:
                    yield line


def _seen(
    shared: Shared, turn: Turn, resource: Resource, line: Line | None, *, ended: bool = False
) -> LockInfo:
    names = [] if line is None else line.names[:SEEN_MAX]
    claims = [] if line is None else lines.read(turn, line, names)
    now_ms = turn.now().at_least()
    told = [claim for claim in claims if ended or claim.until_ms > now_ms]
    holders: list[Claimant] = []
    waiters: list[Claimant] = []
    next_ones = {name.node for name in names[: 0 if line is None else line.admitted]}
    for claim in told:
        state = claim.record.state
        node = claim.path.rpartition("/")[2]
        # Whoever may have it is as good as handed it, although nobody has written so.
        if state is State.WAITING and node in next_ones and claim.record.mode is not Mode.PARTY:
            state = State.HANDED
        (waiters if state is State.WAITING else holders).append(claim.seen(state))
    return LockInfo(
        resource=resource,
        store=shared.store.alias,
        at=moment(now_ms * 1000),
        holders=tuple(sorted(holders, key=lambda each: each.token or 0)),
        waiters=tuple(waiters),
    )
