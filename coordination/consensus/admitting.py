"""Letting an acceptor that has lost its memory begin anew; see docs/decisions/0022.

1. A view without it is chosen, by a register of the view before, and installed at a majority: from
   then on nobody can use what it once promised or accepted.
2. Every register is read: what may have been chosen with its voice is now held by a majority that
   does without it. So is the floor below which registers are forgotten.
3. A view with its new incarnation is chosen, it is born, and the view is installed.

Whoever is killed between leaves a quorum that decides without it, and may begin again.
"""

import time
from collections.abc import Callable

from coordination.consensus.asking import Asked, reasons
from coordination.consensus.founding import new_incarnation
from coordination.consensus.naming import VIEW_NAME
from coordination.consensus.store import Acceptor
from coordination.consensus.stores.paxos import PaxosRegisters
from coordination.consensus.types import KEPT, Register, Seat, View
from coordination.exceptions import (
    ConflictError,
    CoordinationError,
    InvalidArgument,
    OutcomeUnknown,
    RegisterForgotten,
    StoreUnavailable,
)


def retire(registers: PaxosRegisters, alias: str, *, deadline_ms: int) -> View:
    """Let an acceptor count no more, for instance before its backup is restored.

    Raises InvalidArgument, ConflictError when too few would be left or another change was first,
    StoreUnavailable and OutcomeUnknown: say it again.
    """
    _acceptor(registers, alias)
    view = _current(registers, deadline_ms)
    if not view.incarnation(alias):
        return view
    if sum(bool(each.incarnation) for each in view.members) - 1 < view.majority:
        raise ConflictError(
            f"Without {alias!r} too few acceptors would be left to decide: first admit those that "
            "do not count.",
            store=alias,
        )
    return _advance(registers, view.with_member(alias, ""), deadline_ms)


def admit(
    registers: PaxosRegisters,
    alias: str,
    *,
    deadline_ms: int,
    meanwhile: Callable[[int], object] = lambda _: None,
) -> View:
    """Let an acceptor that does not count begin anew, without memory.

    `meanwhile` is told of each register that was read. Raises as `retire`.
    """
    acceptor = _acceptor(registers, alias)
    view = _current(registers, deadline_ms)
    seat = acceptor.seat(deadline_ms=deadline_ms)
    if seat.incarnation and seat.incarnation == view.incarnation(alias) and not seat.fault:
        raise InvalidArgument(
            f"Acceptor {alias!r} has its memory and counts. If it was restored from a backup, "
            "retire it first.",
            store=alias,
        )
    view = retire(registers, alias, deadline_ms=deadline_ms)
    # Of a view that was chosen and not installed everywhere, too.
    _install(registers, view, deadline_ms)
    _transfer(registers, view, deadline_ms, meanwhile)
    admitted = view.with_member(alias, new_incarnation())
    _choose(registers, admitted, deadline_ms)
    acceptor.bury(deadline_ms=deadline_ms)
    if not acceptor.give_birth(admitted.incarnation(alias), admitted, deadline_ms=deadline_ms):
        raise ConflictError(f"Somebody else let acceptor {alias!r} begin.", store=alias)
    _install(registers, admitted, deadline_ms)
    return admitted


def describe(registers: PaxosRegisters, *, deadline_ms: int) -> list[tuple[str, bool, str]]:
    """Of each acceptor its alias, whether it counts, and what is to be said of it."""
    until = time.monotonic() + deadline_ms / 1000
    seats: dict[str, Seat | CoordinationError] = {
        answer.alias: answer.said for answer in Asked(registers.acceptors, _seat, until=until)
    }
    views = [seat.view for seat in seats.values() if isinstance(seat, Seat) and seat.view]
    view = max(views, key=lambda each: each.version, default=None)
    return [
        (each.alias, *_described(each.alias, seats.get(each.alias), view))
        for each in registers.acceptors
    ]


def _described(
    alias: str, seat: Seat | CoordinationError | None, view: View | None
) -> tuple[bool, str]:
    if not isinstance(seat, Seat):
        return False, str(seat or "no answer in time")
    if seat.fault:
        return False, seat.fault
    if view is None or not seat.incarnation:
        return False, "it has no incarnation"
    if view.version == 0:
        return False, "its founding was not finished"
    if seat.incarnation != view.incarnation(alias):
        return False, "it has lost its memory, or was retired: it must be admitted"
    return True, f"incarnation {seat.incarnation}, view {view.version}, floor {seat.floor}"


def _acceptor(registers: PaxosRegisters, alias: str) -> Acceptor:
    for each in registers.acceptors:
        if each.alias == alias:
            return each
    known = ", ".join(each.alias for each in registers.acceptors)
    raise InvalidArgument(f"{alias!r} is no acceptor; there are {known}.", store=alias)


def _current(registers: PaxosRegisters, deadline_ms: int) -> View:
    """The latest view, that of an interrupted change included."""
    until = time.monotonic() + deadline_ms / 1000
    view = registers.views.refreshed(until=until)
    while True:
        # It may have been chosen and installed nowhere.
        following = registers.read(_register(view.version + 1), deadline_ms=deadline_ms)
        if following is None:
            return view
        view = View.parse(following)
        _install(registers, view, deadline_ms)


def _advance(registers: PaxosRegisters, wanted: View, deadline_ms: int) -> View:
    _choose(registers, wanted, deadline_ms)
    _install(registers, wanted, deadline_ms)
    return wanted


def _choose(registers: PaxosRegisters, wanted: View, deadline_ms: int) -> None:
    """Have it follow the view before it. Raises ConflictError when another does."""
    held = registers.decide(_register(wanted.version), wanted.packed(), deadline_ms=deadline_ms)
    if held != wanted.packed():
        raise ConflictError("Somebody else has changed the acceptors meanwhile: look, then again.")


def _install(registers: PaxosRegisters, view: View, deadline_ms: int) -> None:
    """Let a majority go by it; from then on nothing is decided by an earlier one."""

    def installed(acceptor: Acceptor, left_ms: int) -> bool:
        incarnation = view.incarnation(acceptor.alias)
        if not incarnation:
            return False
        acceptor.install(incarnation, view, deadline_ms=left_ms)
        seat = acceptor.seat(deadline_ms=left_ms)
        has = seat.view is not None and seat.view.version >= view.version
        return has and seat.incarnation == incarnation and not seat.fault

    until = time.monotonic() + deadline_ms / 1000
    done, faults = 0, dict[str, str]()
    for answer in Asked(registers.acceptors, installed, until=until):
        if answer.said is True:
            done += 1
        else:
            faults[answer.alias] = str(answer.said or "it does not count")
    if done < view.majority:
        raise OutcomeUnknown(
            f"Only {done} acceptors go by view {view.version}: {reasons(faults)}. Say it again.",
            reason=reasons(faults),
        )
    registers.views.use(view)


def _transfer(
    registers: PaxosRegisters, view: View, deadline_ms: int, meanwhile: Callable[[int], object]
) -> None:
    """Let a majority of those that count keep what they knew together with the one that is lost.

    That is each register that any of them has accepted anything of, and the floor.
    """
    asked, floor, faults, seen = 0, 0, dict[str, str](), set[tuple[int, str]]()
    for acceptor in registers.acceptors:
        if not view.incarnation(acceptor.alias):
            continue
        try:
            for each in acceptor.keys(deadline_ms=deadline_ms):
                if each not in seen:
                    _finish(registers, Register.of_key(*each), deadline_ms)
                    seen.add(each)
                    meanwhile(len(seen))
            # Its keys are no proof if it forgot them meanwhile.
            seat = acceptor.seat(deadline_ms=deadline_ms)
        except CoordinationError as error:
            faults[acceptor.alias] = str(error)
            continue
        if seat.incarnation == view.incarnation(acceptor.alias) and not seat.fault:
            asked, floor = asked + 1, max(floor, seat.floor)
    if asked < view.majority:
        raise StoreUnavailable(
            f"Only {asked} acceptors told all that they know: {reasons(faults)}. Say it again.",
            reason=reasons(faults),
        )
    if floor:
        # Of those that had it, one may be the one that begins anew below it.
        registers.forget_before(floor, deadline_ms=deadline_ms)


def _finish(registers: PaxosRegisters, register: Register, deadline_ms: int) -> None:
    try:
        registers.read(register, deadline_ms=deadline_ms)
    except RegisterForgotten:
        return


def _register(version: int) -> Register:
    return Register(name=f"{VIEW_NAME}{version}", period=KEPT)


def _seat(acceptor: Acceptor, deadline_ms: int) -> Seat:
    return acceptor.seat(deadline_ms=deadline_ms)
