"""The claims of one name in their order, and which of them are dead.

Names alone tell who may have it: the rule of `machine` depends on modes and order, and it only ever
admits from the head. Whoever is admitted stays so, as others only leave the line in front of it; so
a claim may be turned into a holding by its owner alone, at any time, without asking anybody. That
is not true of a PARTY, which is let go by one commit for all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from coordination.connections.zookeeper_errors import ZooKeeperRefused
from coordination.connections.zookeeper_requests import (
    Children,
    Delete,
    Get,
    Step,
    Watch,
    Write,
)
from coordination.locks import machine
from coordination.locks.stores.zookeeper.calls import End, remembering
from coordination.locks.stores.zookeeper.claims import CLAIM_MS, Claim, unpacked
from coordination.locks.stores.zookeeper.journal import Log
from coordination.locks.stores.zookeeper.paths import ClaimName, in_order
from coordination.locks.stores.zookeeper.shared import Shared
from coordination.locks.stores.zookeeper.turn import Turn
from coordination.locks.types import Mode, Resource, State

BATCH = 32
CONFIRM_MS = 300
"""Whoever may have it and lives comes for it within this time; if not, his time is measured."""


@dataclass(frozen=True)
class Line:
    """As it stood at one moment."""

    resource: Resource
    path: str
    names: Sequence[ClaimName]
    version: int
    """Of its parent's data: whoever enters the line writes it."""

    @cached_property
    def admitted(self) -> int:
        """How many from the head may have it. Not for a PARTY."""
        return machine.admitted(self.names, ())

    def admits(self, mode: Mode, limit: int) -> bool:
        """Whether one more at the end of the line might have it at once."""
        joined = [*self.names, ClaimName("", mode, limit, "", 0)]
        return mode is not Mode.PARTY and machine.admitted(joined, ()) == len(joined)

    def index(self, id_: str) -> int | None:
        """Where a call stands, from 0."""
        return next((at for at, each in enumerate(self.names) if each.id == id_), None)

    def path_of(self, name: ClaimName) -> str:
        """Of a claim's node."""
        return f"{self.path}/{name.node}"


def listed(shared: Shared, resource: Resource, reply: Any) -> Line | None:
    """The line from the reply to `Children`; None when there is none."""
    if isinstance(reply, ZooKeeperRefused):
        if reply.word != "NoNode":
            raise reply
        return None
    names, stat = reply
    return Line(resource, shared.tree.name(resource), in_order(names), stat.version)


def look(
    shared: Shared, turn: Turn, resource: Resource, *, watch: Watch | None = None
) -> Line | None:
    """The line of a name; None when nobody holds it or waits."""
    (reply,) = turn.ask(Children(shared.tree.name(resource), watch))
    return listed(shared, resource, reply)


def read(turn: Turn, line: Line, names: Sequence[ClaimName]) -> list[Claim]:
    """The claims of these names that are still there."""
    found: list[Claim] = []
    for at in range(0, len(names), BATCH):
        paths = [line.path_of(name) for name in names[at : at + BATCH]]
        for path, reply in zip(paths, turn.ask(*map(Get, paths)), strict=True):
            if not isinstance(reply, ZooKeeperRefused):
                found.append(Claim(path, unpacked(reply[0]), reply[1]))
    return found


def find(shared: Shared, turn: Turn, resource: Resource, id_: str) -> Claim | None:
    """The claim of a call, whoever made it."""
    line = look(shared, turn, resource)
    index = None if line is None else line.index(id_)
    if line is None or index is None:
        return None
    return next(iter(read(turn, line, [line.names[index]])), None)


def remove_dead(shared: Shared, turn: Turn, resource: Resource, claim: Claim) -> None:
    """Remove a claim whose time ran out, unless it was written meanwhile."""
    record = claim.record
    # A waiter may come again with its call. Who was told that it has it may not have it twice.
    remembered = record.state is State.HELD or record.mode is Mode.PARTY
    kind = "lock.gave_up" if record.state is State.WAITING else "lock.expired"
    told = {"token": claim.token, "owner": record.owner, "state": record.state}
    call = shared.tree.call(record.id)

    def steps(log: Log) -> Sequence[Step]:
        return (
            Delete(claim.path, claim.stat.version),
            *((remembering(call, End.EXPIRED, kept_ms=record.kept_ms),) if remembered else ()),
            shared.journal.event(log, kind, resource, record.id, **told),
        )

    while True:
        try:
            shared.journal.commit(turn, steps)
        except ZooKeeperRefused as refused:
            if refused.word == "NodeExists":  # it is remembered already
                remembered = False
                continue
            if refused.word not in ("NoNode", "BadVersion"):
                raise
            return
        break
    if remembered:
        shared.forget_call_in(record.id, record.kept_ms)


def hand(shared: Shared, turn: Turn, resource: Resource, claims: Sequence[Claim]) -> None:
    """Hand it to these waiters in one step: each has to say within a moment that it lives."""

    def handed(claim: Claim) -> bytes:
        record = replace(claim.record, state=State.HANDED, lasts_ms=CLAIM_MS)
        if record.mode is Mode.PARTY:
            record = replace(record, index=claims.index(claim))
        return record.packed()

    try:
        shared.journal.commit(
            turn,
            lambda log: (
                *(Write(each.path, handed(each), each.stat.version) for each in claims),
                *(
                    shared.journal.event(
                        *(log, "lock.handed", resource, each.record.id),
                        mode=each.record.mode,
                        limit=each.record.limit,
                        owner=each.record.owner,
                        lasts_ms=CLAIM_MS,
                        context=each.record.context,
                        metadata=each.record.metadata,
                    )
                    for each in claims
                ),
            ),
        )
    except ZooKeeperRefused as refused:
        if refused.word not in ("NoNode", "BadVersion"):
            raise


def attend(shared: Shared, turn: Turn, resource: Resource) -> bool:
    """Hand it to those who may have it and did not come; whether to look again for some."""
    line = look(shared, turn, resource)
    if line is None:
        return False
    if line.names and line.names[0].mode is Mode.PARTY:
        complete(shared, turn, line)
        return False
    again = False
    for name in reversed(line.names[: line.admitted]):
        claims = read(turn, line, [name])
        if claims and claims[0].record.state is not State.WAITING:
            break
        # Who waits for a PERMIT does not see who gave his back, so he is told at once.
        at_once = name.mode is Mode.PERMIT
        if at_once or shared.overdue(line.path_of(name), after_s=CONFIRM_MS / 1000):
            hand(shared, turn, resource, claims)
        else:
            again = True
    return again


def complete(shared: Shared, turn: Turn, line: Line) -> bool:
    """Let a party go if enough of them have come; whether anything changed."""
    if len(line.names) < line.names[0].limit:
        return False
    claims = read(turn, line, line.names)
    now_ms = turn.now().at_least()
    dead = [claim for claim in claims if claim.until_ms <= now_ms]
    for claim in dead:
        remove_dead(shared, turn, line.resource, claim)
    if dead:
        return True
    waiting = [claim for claim in claims if claim.record.state is State.WAITING]
    holders = [claim.record for claim in claims if claim.record.state is not State.WAITING]
    count = machine.admitted([claim.record for claim in waiting], holders)
    if count == 0:
        return False
    hand(shared, turn, line.resource, waiting[: waiting[0].record.limit])
    return True


def suspects_of(line: Line, place: int) -> Sequence[ClaimName]:
    """Those whom the one at `place` has to look after.

    Whoever is first to wait looks after all who may have it; the others look only after the one
    in front of them, who lives and looks after the rest.
    """
    admitted = line.admitted
    return line.names[:admitted] if place <= admitted else [line.names[place - 1]]


def watched_ms(shared: Shared, turn: Turn, line: Line, place: int, watch: Watch) -> int | None:
    """As `blocked_ms` for one whose only suspect is in front of it; its end is watched."""
    path = line.path_of(line.names[place - 1])
    found, names = turn.ask(Get(path), Children(path, watch))
    if isinstance(found, ZooKeeperRefused) or isinstance(names, ZooKeeperRefused):
        return None
    claim = Claim(path, unpacked(found[0]), found[1])
    return _left_ms(shared, turn, line, claim, admitted=place <= line.admitted)


def blocked_ms(shared: Shared, turn: Turn, line: Line, place: int) -> int | None:
    """How long the one at `place` is blocked at least unless somebody in front of it leaves.

    None when a dead one was removed.
    """
    admitted = line.admitted
    suspects = suspects_of(line, place)
    left: list[int] = []
    removed = False
    for at in range(0, len(suspects), BATCH):
        for claim in read(turn, line, suspects[at : at + BATCH]):
            left_ms = _left_ms(shared, turn, line, claim, admitted=place <= admitted)
            removed = removed or left_ms is None
            left.append(left_ms or 0)
        living = any(left)
        if living and suspects[0].mode is not Mode.PERMIT:
            break  # one that lives is enough to block it
    return None if removed or not left else max(0, min(left))


def _left_ms(shared: Shared, turn: Turn, line: Line, claim: Claim, *, admitted: bool) -> int | None:
    """How long a claim has left; None when it had no time left and was removed."""
    now_ms = turn.now().at_least()
    if claim.until_ms <= now_ms:
        remove_dead(shared, turn, line.resource, claim)
        return None
    left_ms = claim.until_ms - now_ms
    if admitted and claim.record.state is State.WAITING:
        if shared.overdue(claim.path, after_s=CONFIRM_MS / 1000):
            hand(shared, turn, line.resource, [claim])
            return min(left_ms, CLAIM_MS)
        return min(left_ms, CONFIRM_MS)
    return left_ms
