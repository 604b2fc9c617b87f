"""Taking a name: at once where it is free, else in its line.

A name that is free has no node. Making it, the claim in it and the event in one step takes it: when
two do, the second finds the node. A name that is not free is looked at first, and a claim is only
made at the end of its line: as a holder's when nobody came since, or as a waiter's. So a call that
does not wait never leaves a claim behind.
"""

from collections.abc import Sequence
from dataclasses import replace

from coordination.connections.zookeeper_errors import ZooKeeperRefused
from coordination.connections.zookeeper_requests import (
    Children,
    Commit,
    Create,
    Delete,
    Get,
    Stat,
    Step,
    Write,
)
from coordination.exceptions import StoreUnavailable
from coordination.locks.stores.zookeeper import line as lines
from coordination.locks.stores.zookeeper.claims import Claim, Record, asking, epoch_of, unpacked
from coordination.locks.stores.zookeeper.journal import Log
from coordination.locks.stores.zookeeper.line import Line
from coordination.locks.stores.zookeeper.paths import claim_prefix, worn_out
from coordination.locks.stores.zookeeper.shared import Mine, Shared
from coordination.locks.stores.zookeeper.turn import Turn
from coordination.locks.types import Answer, Held, Mode, Over, Request, State, Waiting

HARDLY = 0.1
"""The share of a stay that may be gone without its beginning anew."""


class Taking:
    """One call of `acquire`."""

    def __init__(self, shared: Shared, turn: Turn, request: Request, *, stay_ms: int) -> None:
        self._shared = shared
        self._turn = turn
        self._request = request
        self._stay_ms = stay_ms
        self._path = shared.tree.name(request.resource)

    def answer(self) -> Answer:
        """What has become of it. Raises StoreUnavailable, OutcomeUnknown."""
        while True:
            mine = self._shared.mine(self._request.id)
            found = self._fresh() if mine is None else self._again(mine)
            if found is not None:  # else something changed meanwhile
                return found

    # A call that has no claim yet

    def _fresh(self) -> Answer | None:
        request, shared = self._request, self._shared
        if shared.seems_free(request.resource):
            taken = self._take_free()
            if taken is not None or shared.mine(request.id) is not None:
                return taken
            shared.note_busy(request.resource, busy=True)
        line = lines.look(shared, self._turn, request.resource)
        if line is None:
            shared.note_busy(request.resource, busy=False)
            return None
        if (index := line.index(request.id)) is not None:
            self._adopt(line, index)
            return None
        return self._come_last(line)

    def _come_last(self, line: Line) -> Answer | None:
        """Beside those who have it, or behind those who wait."""
        request, shared = self._request, self._shared
        if worn_out(line.names):
            raise StoreUnavailable(
                f"{request.resource}: its line has used up its numbers, and begins anew as soon "
                "as those who are in it were served.",
                name=request.name,
                store=shared.store.alias,
            )
        if line.admits(request.mode, request.limit):
            return self._join(line)
        left_ms = self._blocked_ms(line, len(line.names)) if line.names else 0
        if left_ms is None:
            return None
        if self._stay_ms:
            return self._queue(line, left_ms)
        (call,) = self._turn.ask(Get(shared.tree.call(request.id)))
        if not isinstance(call, ZooKeeperRefused):
            return Over()
        return Waiting(place=None, look_again_ms=left_ms)

    def _take_free(self) -> Answer | None:
        request = self._request
        alone = request.mode is not Mode.PARTY or request.limit == 1
        try:
            return self._enter(Create(path=self._path, container=True), holding=alone)
        except ZooKeeperRefused as refused:
            if refused.word == "NoNode":
                self._shared.journal.repair(self._turn)
                return None
            if refused.word != "NodeExists":
                raise
            return None

    def _join(self, line: Line) -> Answer | None:
        """Beside those who have it, unless somebody came since."""
        try:
            return self._enter(Write(self._path, b"", line.version), holding=True)
        except ZooKeeperRefused as refused:
            if refused.word not in ("BadVersion", "NoNode"):
                raise
            return None

    def _queue(self, line: Line, left_ms: int) -> Answer | None:
        try:
            answer = self._enter(Write(self._path, b""), holding=False)
        except ZooKeeperRefused as refused:
            if refused.word != "NoNode":
                raise
            return None
        request = self._request
        if request.mode is Mode.PARTY or self._shared.bells.listens(request.id):
            return answer
        # Nobody would hear a watch yet, and whoever will listen asks again first.
        place = len(line.names) - line.admitted + 1
        return answer or Waiting(place=place, look_again_ms=left_ms)

    def _enter(self, door: Step, *, holding: bool) -> Answer | None:
        """Make the claim; `door` is the step at its parent that lets it in, or refuses.

        None: look again, as one that waits. Raises ZooKeeperRefused by the door.
        """
        request, shared = self._request, self._shared
        call = shared.tree.call(request.id)
        prefix = claim_prefix(request.id, request.mode, request.limit)
        record = asking(request, stay_ms=self._stay_ms)

        def steps(log: Log) -> Sequence[Step]:
            nonlocal record
            if holding:
                record = _holding(record, log)
                event = shared.journal.granted(log, request.resource, request.id, **_told(record))
            else:
                told = _told(record)
                del told["lasts_ms"]
                event = shared.journal.event(
                    *(log, "lock.waiting", request.resource, request.id), **told
                )
            claim = Create(
                path=f"{self._path}/{prefix}", data=record.packed(), ephemeral=True, sequence=True
            )
            return Create(path=call), Delete(call), door, claim, event

        try:
            _, _, stat, path, _ = shared.journal.commit(self._turn, steps)
        except ZooKeeperRefused as refused:
            if refused.index == 0 and refused.word == "NodeExists":
                return Over()
            raise
        # The door is written in the same step, so its Stat has the time and number of the claim's.
        own = _of_claim(stat, owner=shared.store.session or 0)
        claim = Claim(path, record, own)
        shared.remember(request.resource, claim)
        return self._held(claim) if holding else None

    def _adopt(self, line: Line, index: int) -> None:
        """Go on with a claim of this call whose answer was lost."""
        for claim in lines.read(self._turn, line, [line.names[index]]):
            if claim.stat.owner == self._shared.store.session:
                self._shared.remember(self._request.resource, claim)
            else:
                # It goes with another session, which may end at any time, so it is worth nothing.
                self._give_up(claim)

    def _give_up(self, claim: Claim) -> None:
        journal, record = self._shared.journal, claim.record
        kind = "lock.expired" if record.state is State.HELD else "lock.gave_up"
        told = {"token": claim.token, "owner": record.owner, "state": record.state}
        try:
            journal.commit(
                self._turn,
                lambda log: (
                    Delete(claim.path),
                    journal.event(log, kind, self._request.resource, record.id, **told),
                ),
            )
        except ZooKeeperRefused as refused:
            if refused.word != "NoNode":
                raise

    # A call that has a claim

    def _again(self, mine: Mine) -> Answer | None:
        request, shared = self._request, self._shared
        line, claim = self._own(mine)
        if line is None or claim is None:
            shared.forget(request.id)
            return None
        if claim.record.state is State.HELD:
            return self._first_answer(claim)
        if request.mode is Mode.PARTY:
            if claim.record.state is State.HANDED:
                return self._confirm(claim)
            if lines.complete(shared, self._turn, line):
                return None
            return self._wait(claim, line)
        place = line.index(request.id)
        if place is None:
            shared.forget(request.id)
            return None
        return self._confirm(claim) if place < line.admitted else self._wait(claim, line)

    def _own(self, mine: Mine) -> tuple[Line | None, Claim | None]:
        """The line, and the claim as it is now."""
        request = self._request
        waits = mine.claim.record.state is State.WAITING and not mine.refused
        if waits and request.mode in (Mode.EXCLUSIVE, Mode.SHARED):
            # Nobody writes it unless its owner does not come for it; then its write is refused.
            return lines.look(self._shared, self._turn, request.resource), mine.claim
        own, names = self._turn.ask(Get(mine.claim.path), Children(self._path))
        line = lines.listed(self._shared, request.resource, names)
        if isinstance(own, ZooKeeperRefused):
            return line, None
        return line, Claim(mine.claim.path, unpacked(own[0]), own[1])

    def _refused(self) -> None:
        mine = self._shared.mine(self._request.id)
        if mine is not None:
            mine.refused = True
            mine.touched = False

    def _first_answer(self, claim: Claim) -> Answer | None:
        clock = self._turn.now()
        if claim.until_ms <= clock.at_least():
            lines.remove_dead(self._shared, self._turn, self._request.resource, claim)
            self._shared.forget(self._request.id)
            return None
        if claim.token is None:
            return self._held(claim)
        return self._tell(claim, now_ms=clock.at_most())

    def _held(self, claim: Claim) -> Answer | None:
        """It was granted by the last write of its node."""
        if claim.token is None:
            self._shared.journal.begin_epoch(self._turn, epoch_of(claim.stat.mzxid))
            return self._confirm(claim)
        return self._tell(claim, now_ms=claim.stat.mtime_ms)

    def _tell(self, claim: Claim, *, now_ms: int) -> Held:
        self._shared.remember(self._request.resource, claim).told = True
        return claim.held(now_ms=now_ms)

    def _confirm(self, claim: Claim) -> Answer | None:
        """Turn a claim that may have it into a holding: its token is that of this step."""
        shared, request = self._shared, self._request
        record = claim.record

        def steps(log: Log) -> Sequence[Step]:
            nonlocal record
            record = _holding(claim.record, log)
            return (
                Write(claim.path, record.packed(), claim.stat.version),
                shared.journal.granted(log, request.resource, request.id, **_told(record)),
            )

        try:
            stat, _ = shared.journal.commit(self._turn, steps)
        except ZooKeeperRefused as refused:
            if refused.word not in ("NoNode", "BadVersion"):
                raise
            self._refused()
            return None
        return self._held(Claim(claim.path, record, stat))

    def _wait(self, claim: Claim, line: Line) -> Answer | None:
        """Keep the place, see to those in front, and have the bell rung when it is worth while."""
        place = line.index(self._request.id)
        if place is None:
            return None
        if self._stay_ms:
            touched = self._touch(claim)
            if touched is None:
                return None
            claim = touched
        mine = self._shared.remember(self._request.resource, claim)
        if claim.record.mode is Mode.EXCLUSIVE and len(lines.suspects_of(line, place)) == 1:
            left_ms = lines.watched_ms(self._shared, self._turn, line, place, mine.rang)
            watched = True
        else:
            left_ms = self._blocked_ms(line, place)
            watched = left_ms is not None and self._watched(mine, line, place)
        if left_ms is None or not watched:
            return None
        in_front = 0 if claim.record.mode is Mode.PARTY else line.admitted
        return Waiting(place=place - in_front + 1, look_again_ms=left_ms)

    def _touch(self, claim: Claim) -> Claim | None:
        """Let its stay begin anew; None when somebody else wrote it meanwhile.

        Not if it has hardly begun: that would be a write for each time it is woken or looks.
        """
        clock = self._turn.now()
        age_ms = clock.at_most() - claim.stat.mtime_ms
        if age_ms < self._stay_ms * HARDLY and claim.record.lasts_ms == self._stay_ms:
            return claim
        mine = self._shared.mine(self._request.id)
        if mine is not None:
            # Its own watch hears of this, and must not wake it for ever.
            mine.touched = mine.watched
        record = replace(claim.record, lasts_ms=self._stay_ms)
        kept = Commit((Write(claim.path, record.packed(), claim.stat.version),))
        (written,) = self._turn.ask(kept)
        if isinstance(written, ZooKeeperRefused):
            self._refused()
            return None
        return Claim(claim.path, record, written[0])

    def _blocked_ms(self, line: Line, place: int) -> int | None:
        if self._request.mode is Mode.PARTY:
            return self._stay_ms
        return lines.blocked_ms(self._shared, self._turn, line, place)

    def _watched(self, mine: Mine, line: Line, place: int) -> bool:
        """Watch what this one waits for; False when that has happened already.

        EXCLUSIVE waits for the one in front, and SHARED for the last in front who does not share.
        Whoever gives a PERMIT back writes the claim of the one who is next, and so does whoever
        completes a PARTY; the first to wait for a PERMIT watches for holders who die, too.
        """
        match self._request.mode:
            case Mode.EXCLUSIVE:
                return self._watches_end(mine, line, place - 1)
            case Mode.SHARED:
                others = (at for at in range(place) if line.names[at].mode is not Mode.SHARED)
                last = max(others, default=None)
                return last is not None and self._watches_end(mine, line, last)
        mine.watched = True
        own, names = self._turn.ask(
            Get(mine.claim.path, mine.rang),
            Children(self._path, mine.rang if place == line.admitted else None),
        )
        if isinstance(own, ZooKeeperRefused) or isinstance(names, ZooKeeperRefused):
            return False
        unwritten: bool = own[1].version == mine.claim.stat.version
        return unwritten and {each.node for each in line.names}.issubset(names[0])

    def _watches_end(self, mine: Mine, line: Line, place: int) -> bool:
        # Its children can change only by its end; its data changes with every renewal.
        (reply,) = self._turn.ask(Children(line.path_of(line.names[place]), mine.rang))
        return not isinstance(reply, ZooKeeperRefused)


def _holding(record: Record, log: Log) -> Record:
    return replace(
        record,
        state=State.HELD,
        lasts_ms=record.ttl_ms,
        until_ms=None,
        epoch=log.epoch,
        base=log.base,
        token=None,
        since_ms=None,
    )


def _told(record: Record) -> dict[str, object]:
    """What the event of a grant or a waiter says."""
    return {
        "mode": record.mode,
        "limit": record.limit,
        "owner": record.owner,
        "lasts_ms": record.lasts_ms,
        "context": record.context,
        "metadata": record.metadata,
    }


def _of_claim(stat: Stat, *, owner: int) -> Stat:
    """The Stat of a claim made in the same step as a node with `stat` was written."""
    return stat._replace(
        czxid=stat.mzxid, ctime_ms=stat.mtime_ms, version=0, owner=owner, children=0
    )
