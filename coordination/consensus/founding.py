"""Founding a quorum: each acceptor is born once, under a name that is never given again.

Births and the first view are two steps, so whoever found is killed may begin again: an acceptor
serves nobody before it has the first view, and that names the births which took place. Two who
found at once, or one who wakes up late, can give no acceptor back a name that it has forgotten.
"""

import secrets
import time

from coordination.consensus.store import Acceptor
from coordination.consensus.stores.paxos import PaxosRegisters
from coordination.consensus.types import Member, Seat, View
from coordination.exceptions import ConflictError


def new_incarnation() -> str:
    """A name for a birth."""
    return secrets.token_hex(8)


def found(registers: PaxosRegisters, *, deadline_ms: int) -> View:
    """Let the acceptors begin. All must answer; what was founded before is left as it is.

    Raises ConflictError when they were founded before and one of them has lost its memory since,
    StoreUnavailable and OutcomeUnknown: say it again.
    """
    acceptors = sorted(registers.acceptors, key=lambda each: each.alias)
    until = time.monotonic() + deadline_ms / 1000

    def left_ms() -> int:
        return max(1, int((until - time.monotonic()) * 1000))

    view = _open_view(_seats(acceptors, left_ms()))
    if view is None:
        unborn = View(0, tuple(Member(each.alias, "") for each in acceptors))
        for each in acceptors:
            # False: it was born in an earlier attempt.
            each.give_birth(new_incarnation(), unborn, deadline_ms=left_ms())
        seats = _seats(acceptors, left_ms())
        members = tuple(Member(alias, seat.incarnation) for alias, seat in seats.items())
        view = _open_view(seats) or View(1, members)
    for each in acceptors:
        each.install(view.incarnation(each.alias), view, deadline_ms=left_ms())
    _refuse_lost(view, _seats(acceptors, left_ms()))
    registers.views.use(view)
    return view


def _open_view(seats: dict[str, Seat]) -> View | None:
    """The view that any of them goes by. Raises ConflictError when another is not in it."""
    views = [seat.view for seat in seats.values() if seat.view is not None and seat.view.version]
    if not views:
        return None
    latest = max(views, key=lambda view: view.version)
    _refuse_lost(latest, seats)
    return latest


def _refuse_lost(view: View, seats: dict[str, Seat]) -> None:
    lost = [alias for alias, seat in seats.items() if seat.incarnation != view.incarnation(alias)]
    if lost or set(seats) != {member.alias for member in view.members}:
        who = ", ".join(lost) or "others than these"
        raise ConflictError(
            f"The acceptors were founded before, and {who} cannot be what it was: manage.py "
            "concord acceptors --admit lets one begin anew without harm."
        )


def _seats(acceptors: list[Acceptor], deadline_ms: int) -> dict[str, Seat]:
    return {each.alias: each.seat(deadline_ms=deadline_ms) for each in acceptors}
