"""An acceptor in ZooKeeper: the rule itself decides, and node versions guard what it decided from.

<root>/concord/consensus/seats/<incarnation>                     who this acceptor is, and its floor
<root>/concord/consensus/cells/<incarnation>/<period>/<n>/<key>  what is kept of a register

Each message is one commit that the server refuses if the seat or the cell has changed since it was
read. So it may be decided from what a follower says late, and a copy of a commit that comes late
does nothing. The whole ensemble is one acceptor.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from coordination.connections.zookeeper import ZooKeeperStore
from coordination.connections.zookeeper_errors import ZooKeeperRefused
from coordination.connections.zookeeper_exchange import Sent
from coordination.connections.zookeeper_requests import (
    Check,
    Commit,
    Create,
    Delete,
    Get,
    Request,
    Step,
    Write,
)
from coordination.consensus import acceptor as rule
from coordination.consensus.acceptor import Kept
from coordination.consensus.acceptors.zookeeper_seat import SeatNode, SeatRead, Sitting, Within
from coordination.consensus.messages import Look, Message, Offer, Prepare
from coordination.consensus.store import Begun
from coordination.consensus.types import (
    OPENING,
    Accepted,
    Agreed,
    Ballot,
    Forgotten,
    Outdated,
    Promised,
    Refused,
    Register,
    Reply,
    Seat,
    Seen,
    Stamp,
    Unseated,
    View,
)
from coordination.consensus.zookeeper_tree import Ask, Tree, children, make_parents

REMEMBERED = 1_000
"""Cells of which it is known what this process wrote into them last."""


class _Cell(NamedTuple):
    """A cell as it was read, with the version of its node; -1 when there is none."""

    kept: Kept
    version: int


NONE = _Cell(Kept(), -1)


class ZooKeeperAcceptor:
    """One ZooKeeper as an acceptor; see `coordination.consensus.store.Acceptor`."""

    def __init__(self, store: ZooKeeperStore) -> None:
        self.alias = store.alias
        self._store = store
        top = f"{store.root}/concord/consensus"
        self._top = f"{top}/cells"
        self._seat = SeatNode(top)
        self._written: dict[str, _Cell] = {}

    def ask(self, stamp: Stamp, messages: Sequence[Message], *, deadline_ms: int) -> list[Reply]:
        """Its answers, each found out by itself; most are had by `begin`."""
        ask = self._within(deadline_ms)
        return [
            self._look(stamp, message.register, ask)
            if isinstance(message, Look)
            else self._change(stamp, message, ask)
            for message in messages
        ]

    def begin(
        self, stamp: Stamp, messages: Sequence[Message], *, ring: Callable[[], None]
    ) -> Begun | None:
        """Send them by what is known of the seat and of the cells, right or not."""
        read = self._seat.known
        if read is None or any(_judged(read, stamp, each.register) for each in messages):
            return None
        cells, guesses = self._cells(read), list[_Guess]()
        for message in messages:
            guess = self._guess(message, cells, read.check)
            if guess is None:
                return None
            guesses.append(guess)
        requests = [request for guess in guesses for request in guess.requests]
        sent = self._store.begin(*requests, ring=ring)
        return None if sent is None else _Begun(self, sent, guesses)

    def _guess(self, message: Message, cells: Tree, check: Check) -> "_Guess | None":
        """What the message comes to if its cell is as it is remembered, or new."""
        path = cells.path(message.register)
        if isinstance(message, Look):
            return _Guess(path, (Commit((check,)), Get(path)), None, None)
        cell = self._written.get(path, NONE)
        after, reply = _decided(message, cell.kept)
        if isinstance(reply, Refused):
            return None
        requests = (Commit((check, _written(path, after, cell))),)
        return _Guess(path, requests, reply, _Cell(after, cell.version + 1))

    def remember(self, path: str, cell: _Cell) -> None:
        """Keep what was written, for the next message to the same register."""
        if len(self._written) >= REMEMBERED:
            self._written.clear()
        self._written[path] = cell

    def mistaken(self, path: str) -> None:
        """What was remembered is not so, of this register or of the seat."""
        self._written.pop(path, None)
        self._seat.known = None

    def _look(self, stamp: Stamp, register: Register, ask: Within) -> Reply:
        """What it has accepted. The check before it is ordered among all writes, as no read is."""
        while True:
            read = self._seat.read(ask)
            refusal = _judged(read, stamp, register)
            if read is None or refusal is not None:
                return self._refused(refusal)
            checked, found = ask(Commit((read.check,)), Get(self._cells(read).path(register)))
            if not isinstance(checked, ZooKeeperRefused):
                return Seen(_cell(found).kept.accepted)
            self._seat.known = None

    def seat(self, *, deadline_ms: int) -> Seat:
        """What it says of itself."""
        self._seat.known = None
        read = self._seat.read(self._within(deadline_ms))
        if read is None:
            return Seat("", None, 0)
        sitting = read.sitting
        return Seat(sitting.incarnation, View.parse(sitting.view), sitting.floor)

    def give_birth(self, incarnation: str, view: View, *, deadline_ms: int) -> bool:
        """Let it begin without memory."""
        ask = self._within(deadline_ms)
        self._seat.known = None
        if self._seat.read(ask) is not None:
            return False
        # What stands here without a seat is of a former incarnation.
        self._clear(ask)
        sitting = Sitting(incarnation=incarnation, version=view.version, view=view.packed())
        return self._seat.make(sitting, ask)

    def install(self, incarnation: str, view: View, *, deadline_ms: int) -> None:
        """Let it go by a view."""

        def newer(sitting: Sitting) -> Sitting:
            if view.version <= sitting.version:
                return sitting
            return replace(sitting, version=view.version, view=view.packed())

        self._seat.change(incarnation, newer, self._within(deadline_ms))

    def raise_floor(self, incarnation: str, period: int, *, deadline_ms: int) -> None:
        """Refuse and forget registers of periods below this one."""
        ask = self._within(deadline_ms)

        def raised(sitting: Sitting) -> Sitting:
            return replace(sitting, floor=max(sitting.floor, period))

        if self._seat.change(incarnation, raised, ask):
            cells = self._cells_of(incarnation)
            for old in cells.periods(ask):
                if old < period:
                    cells.remove(old, ask)

    def bury(self, *, deadline_ms: int) -> None:
        """Forget everything."""
        ask = self._within(deadline_ms)
        self._seat.remove(ask)
        self._clear(ask)

    def keys(self, *, deadline_ms: int) -> Iterator[tuple[int, str]]:
        """Every register that it keeps anything of."""

        def ask(*requests: Any) -> list[Any]:
            return self._store.ask(*requests, deadline_ms=deadline_ms)

        self._seat.known = None
        if (read := self._seat.read(ask)) is not None:
            yield from self._cells(read).keys(ask)

    def _cells(self, read: SeatRead) -> Tree:
        return self._cells_of(read.sitting.incarnation)

    def _cells_of(self, incarnation: str) -> Tree:
        """Those of one incarnation: of another's, nothing is read or written by mistake."""
        return Tree(f"{self._top}/{incarnation}")

    def _change(self, stamp: Stamp, message: Prepare | Offer, ask: Within) -> Reply:
        # Most registers are new when they are prepared, or offered their opening.
        cell = NONE if isinstance(message, Prepare) or message.ballot == OPENING else None
        while True:
            read = self._seat.read(ask)
            refusal = _judged(read, stamp, message.register)
            if read is None or refusal is not None:
                return self._refused(refusal)
            path = self._cells(read).path(message.register)
            cell = cell or self._cell_read(path, ask)
            after, reply = _decided(message, cell.kept)
            if isinstance(reply, Refused):
                return reply
            (done,) = ask(Commit((read.check, _written(path, after, cell))))
            if not isinstance(done, ZooKeeperRefused):
                self.remember(path, _Cell(after, cell.version + 1))
                return reply
            if done.index == 0:
                self._seat.known = None
            elif done.word == "NoNode" and cell.version < 0:
                make_parents(path, ask)
                continue
            cell = None

    def _refused(self, refusal: Reply | None) -> Reply:
        # What was read may be old: the next request looks anew.
        self._seat.known = None
        return refusal or Unseated("it has no incarnation")

    def _cell_read(self, path: str, ask: Within) -> _Cell:
        (found,) = ask(Get(path))
        return _cell(found)

    def _clear(self, ask: Ask) -> None:
        for incarnation in children(self._top, ask):
            cells = self._cells_of(incarnation)
            for period in cells.periods(ask):
                cells.remove(period, ask)
            ask(Commit((Delete(cells.top),)))

    def _within(self, deadline_ms: int) -> Within:
        return Within(self._store, deadline_ms)


class _Guess(NamedTuple):
    """Requests that are right if a cell is as it is thought to be, and what they then mean."""

    path: str
    requests: tuple[Request, ...]
    reply: Reply | None
    """None: what it is will be read."""
    cell: _Cell | None


class _Begun:
    """Messages on their way; see `coordination.consensus.store.Begun`."""

    is_unsent = False

    def __init__(self, acceptor: ZooKeeperAcceptor, sent: Sent, guesses: Sequence[_Guess]) -> None:
        self._acceptor = acceptor
        self._sent = sent
        self._guesses = guesses
        self.advance = sent.advance

    def fileno(self) -> int:
        """None: a thread rings."""
        return -1

    def replies(self) -> list[Reply] | None:
        """None: a guess was wrong. What was right is done, and is answered the same again."""
        told: list[Reply] = []
        found = iter(self._sent.replies())
        wrong = False
        for path, _, reply, cell in self._guesses:
            done = next(found)
            read = next(found) if reply is None else None
            if isinstance(done, ZooKeeperRefused):
                wrong = True
                self._acceptor.mistaken(path)
            elif reply is None or cell is None:
                told.append(Seen(_cell(read).kept.accepted))
            else:
                self._acceptor.remember(path, cell)
                told.append(reply)
        return None if wrong else told

    def leave(self) -> None:
        """The store looks after what is not answered."""


def _judged(read: SeatRead | None, stamp: Stamp, register: Register) -> Reply | None:
    """Why a request is not served; None when it is."""
    if read is None:
        return Unseated("it has no incarnation")
    sitting = read.sitting
    if sitting.incarnation != stamp.incarnation:
        return Unseated("it has another incarnation")
    if sitting.version != stamp.version:
        return Outdated(sitting.version)
    if register.period < sitting.floor:
        return Forgotten(sitting.floor)
    return None


def _decided(message: Prepare | Offer, kept: Kept) -> tuple[Kept, Promised | Agreed | Refused]:
    """What the rule makes of a message."""
    if isinstance(message, Prepare):
        return rule.prepare(kept, message.ballot)
    return rule.accept(kept, message.ballot, message.value)


def _written(path: str, after: Kept, cell: _Cell) -> Step:
    """The step that writes what is kept over what was read."""
    if cell.version < 0:
        return Create(path=path, data=_packed(after))
    return Write(path, _packed(after), cell.version)


def _packed(kept: Kept) -> bytes:
    accepted = kept.accepted
    return json.dumps(
        [
            str(kept.promised),
            str(accepted.ballot) if accepted else None,
            accepted.value if accepted else None,
        ]
    ).encode()


def _cell(found: Any) -> _Cell:
    if isinstance(found, ZooKeeperRefused):
        return NONE
    data, stat = found
    promised, ballot, value = json.loads(data)
    accepted = None if ballot is None else Accepted(Ballot.parse(ballot), value)
    return _Cell(Kept(Ballot.parse(promised), accepted), stat.version)
