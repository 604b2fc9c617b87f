"""Registers kept by a quorum of independent stores: the proposer of `proposer.py` at work.

A call makes attempts until one learns a value or its deadline ends. What an attempt has offered may
be accepted later, by an acceptor that was slow, or be found by anyone's later attempt; so a call
that offered its own value and learned nothing says that its outcome is unknown.

Registers of one call go in step: each round is one message to each acceptor with something of every
register that is not settled yet.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import random

from coordination.consensus.answers import Answer, Unknown, value_of
from coordination.consensus.asking import Asked, Sent, reasons
from coordination.consensus.attempting import Progress
from coordination.consensus.messages import Message
from coordination.consensus.naming import PAXOS
from coordination.consensus.store import Acceptor, Begun
from coordination.consensus.types import (
    Forgotten,
    Outdated,
    Refused,
    Register,
    Reply,
    Stamp,
    Unseated,
    View,
    validate_value,
)
from coordination.consensus.views import Views
from coordination.exceptions import CoordinationError, OutcomeUnknown, StoreUnavailable
from coordination.kernel.backoff import backoff_ms

BASE_MS, CAP_MS = 2, 200
"""The pause after somebody else's ballot was higher, and how far it grows."""
GRACE_S = 0.02
"""How long the others are listened to, at least, once one acceptor has refused a ballot."""


class ViewChanged(Exception):
    """An acceptor goes by a later view: begin again with that."""


class PaxosRegisters:
    """Registers of one quorum; see `coordination.consensus.store.Registers`."""

    alias = PAXOS

    def __init__(self, acceptors: Sequence[Acceptor], *, deadline_ms: int) -> None:
        self.deadline_ms = deadline_ms
        self.acceptors = tuple(acceptors)
        self.views = Views(acceptors)
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the settings have changed, so that nothing more may be sent."""
        return self._closed

    def close(self) -> None:
        """Send nothing more: what is still to be told to slow acceptors is dropped."""
        self._closed = True

    def decide(self, register: Register, value: str, *, deadline_ms: int | None = None) -> str:
        """The value that holds."""
        wish = validate_value(value, register=register)
        answer = self.decide_many({register: wish}, deadline_ms=deadline_ms)[register]
        held = value_of(answer, register, store=self.alias)
        assert held is not None
        return held

    def read(self, register: Register, *, deadline_ms: int | None = None) -> str | None:
        """The value that holds, or None. Asks for no promise unless something was accepted."""
        answer = self.decide_many({register: None}, deadline_ms=deadline_ms)[register]
        return value_of(answer, register, store=self.alias)

    def decide_many(
        self, wishes: Mapping[Register, str | None], *, deadline_ms: int | None = None
    ) -> dict[Register, Answer]:
        """Of each the value that holds; the opening of all in one round trip."""
        return self._run(
            [
                Progress(register=register, wish=_validated(wish, register), looks=wish is None)
                for register, wish in wishes.items()
            ],
            deadline_ms,
        )

    def peek_many(
        self, registers: Sequence[Register], *, deadline_ms: int | None = None
    ) -> dict[Register, Answer]:
        """What each holds, as far as it can be told without writing."""
        return self._run(
            [
                Progress(register=register, wish=None, looks=True, peeks=True)
                for register in registers
            ],
            deadline_ms,
        )

    def _run(self, cells: list[Progress], deadline_ms: int | None) -> dict[Register, Answer]:
        # In one order everywhere, so that two calls never wait for each other's rows.
        cells.sort(key=lambda each: (each.register.period, each.register.key))
        limit_ms = self.deadline_ms if deadline_ms is None else deadline_ms
        _Call(self, cells, until=time.monotonic() + limit_ms / 1000).run()
        return {each.register: each.answer or Unknown("not asked") for each in cells}

    def forget_before(self, period: int, *, deadline_ms: int | None = None) -> None:
        """Forget and refuse the registers of periods below this one.

        Done once a majority refuses them. The others are told with the next call.
        """
        limit_ms = self.deadline_ms if deadline_ms is None else deadline_ms
        until = time.monotonic() + limit_ms / 1000
        view = self.views.current(until=until)
        done, faults = 0, dict[str, str]()

        def raised(acceptor: Acceptor, left_ms: int) -> bool:
            incarnation = view.incarnation(acceptor.alias)
            if not incarnation:
                return False
            # It may have been away when the view was installed.
            acceptor.install(incarnation, view, deadline_ms=left_ms)
            acceptor.raise_floor(incarnation, period, deadline_ms=left_ms)
            seat = acceptor.seat(deadline_ms=left_ms)
            if seat.incarnation != incarnation or seat.view is None or seat.fault:
                return False
            # By another view, a floor here may be one that was lost or is not asked for.
            return seat.view.version == view.version and seat.floor >= period

        for answer in Asked(self.acceptors, raised, until=until):
            if answer.said is True:
                done += 1
            else:
                faults[answer.alias] = str(answer.said or "it does not count")
        if done < view.majority:
            self.views.forget(view)
            raise OutcomeUnknown(
                f"Only {done} acceptors forget the periods below {period}: {reasons(faults)}.",
                store=self.alias,
            )


class _Call:
    """One call to some registers, within its deadline."""

    def __init__(
        self, registers: PaxosRegisters, cells: Sequence[Progress], *, until: float
    ) -> None:
        self._until = until
        self._registers = registers
        self._cells = cells
        self._failures = 0
        self._faults: dict[str, str] = {}
        """Of each acceptor why it did not count, in the last round."""
        self._unheard = False
        """Whether one of them may have done what it was asked, its answer lost."""
        self._is_cut_short = False
        """Whether the last round ended early because a register in it was refused."""

    def run(self) -> None:
        """Find an answer for each."""
        former: View | None = None
        while open_cells := [each for each in self._cells if each.answer is None]:
            try:
                view = self._registers.views.current(until=self._until)
                if former is not None and view != former:
                    # Promises of one view and acceptances of another make no majority.
                    for each in open_cells:
                        each.give_up()
                former = view
                self._round(view, open_cells)
            except ViewChanged:
                continue
            except StoreUnavailable as error:
                self._fail(open_cells, str(error).rstrip("."))
            else:
                self._conclude(view, [each for each in open_cells if each.answer is None])

    def _round(self, view: View, cells: Sequence[Progress]) -> None:
        """Send each register's next message to all acceptors, and hear them."""
        number = len(view.members)
        asked: list[tuple[Progress, Message]] = []
        for each in cells:
            message = each.message(acceptors=number, letters=secrets.token_hex(8))
            if message is None:
                each.fail("there is no higher ballot")
            else:
                asked.append((each, message))
        if not asked:
            return
        begun, self._is_cut_short = time.monotonic(), False
        with self._send(view, [message for _, message in asked]) as sent:
            for alias, replies in self._replies(view, sent):
                for (each, _), reply in zip(asked, replies, strict=True):
                    _hear(each, alias, reply, acceptors=number)
                if all(each.moved or each.answer is not None for each, _ in asked):
                    return
                if any(isinstance(reply, Refused) for reply in replies):
                    # A higher ballot will do, and one that is frozen would be waited for in vain.
                    now, self._is_cut_short = time.monotonic(), True
                    sent.until = min(sent.until, now + max(GRACE_S, now - begun))

    def _conclude(self, view: View, cells: Sequence[Progress]) -> None:
        """After a round: who begins anew, who goes on, and of whom no more can be learned."""
        is_urgent = is_beaten = False
        for each in cells:
            if each.goes_on:
                is_urgent = True
            elif each.is_refused or self._unheard or self._is_cut_short:
                each.give_up()
                is_beaten = True
            else:
                each.fail(self._why())
                # For the next call: all may have been founded anew.
                self._registers.views.forget(view)
        if is_beaten and not is_urgent:
            self._pause(cells)

    def _send(self, view: View, messages: list[Message]) -> Sent:
        """Send them to all acceptors, to each by its incarnation."""

        def begin(acceptor: Acceptor, ring: Callable[[], None]) -> Begun | None:
            stamp = Stamp(view.incarnation(acceptor.alias), view.version)
            if not stamp.incarnation or self._registers.closed:
                return None
            try:
                return acceptor.begin(stamp, messages, ring=ring)
            except CoordinationError:
                # A thread will meet the same, and tell of it.
                return None

        def ask(acceptor: Acceptor, left_ms: int) -> list[Reply]:
            if self._registers.closed:
                raise StoreUnavailable("The settings have changed.", store=acceptor.alias)
            stamp = Stamp(view.incarnation(acceptor.alias), view.version)
            if not stamp.incarnation:
                return [Unseated("it lost its memory and was not admitted again")]
            replies = acceptor.ask(stamp, messages, deadline_ms=left_ms)
            if _is_behind(replies, view):
                # It was away when the view was installed.
                acceptor.install(stamp.incarnation, view, deadline_ms=left_ms)
                replies = acceptor.ask(stamp, messages, deadline_ms=left_ms)
            return replies

        return Sent(
            self._registers.acceptors,
            ask,
            begin=begin,
            until=self._until,
            is_behind=lambda replies: _is_behind(replies, view),
        )

    def _replies(self, view: View, sent: Sent) -> Iterator[tuple[str, list[Reply]]]:
        """What acceptors that count answer; of the others it is noted why they do not."""
        self._faults, self._unheard = {}, False
        for answer in sent:
            if isinstance(answer.said, CoordinationError):
                self._faults[answer.alias] = str(answer.said)
                self._unheard |= answer.said.applied is None
                continue
            match answer.said[0]:
                case Unseated(reason):
                    self._faults[answer.alias] = reason
                case Outdated(version) if version > view.version:
                    self._registers.views.forget(view, later=version)
                    raise ViewChanged
                case Outdated():
                    self._faults[answer.alias] = "it goes by an earlier view"
                case _:
                    yield answer.alias, answer.said

    def _pause(self, cells: Sequence[Progress]) -> None:
        """Let others come to an end; those whose time is up are told so."""
        self._failures += 1
        uniform = random()  # noqa: S311  jitter
        pause_ms = backoff_ms(self._failures, base_ms=BASE_MS, cap_ms=CAP_MS, uniform=uniform)
        if time.monotonic() + pause_ms / 1000 >= self._until:
            self._fail(cells, self._why())
        else:
            time.sleep(pause_ms / 1000)

    def _why(self) -> str:
        return reasons(self._faults) if self._faults else "no majority answered in time"

    def _fail(self, cells: Sequence[Progress], why: str) -> None:
        for each in cells:
            if each.answer is None:
                each.fail(why)


def _hear(cell: Progress, alias: str, reply: Reply, *, acceptors: int) -> None:
    if isinstance(reply, Forgotten):
        cell.answer = cell.answer or reply
    else:
        cell.hear(alias, reply, acceptors=acceptors)


def _is_behind(replies: Sequence[Reply], view: View) -> bool:
    """Whether an acceptor goes by an earlier view than is in force."""
    first = replies[0]
    return isinstance(first, Outdated) and first.version < view.version


def _validated(wish: str | None, register: Register) -> str | None:
    return None if wish is None else validate_value(wish, register=register)
