"""Three-phase commit as it is taught: who moves to which state on what (Skeen 1981).

For the simulator and the lab only. The project's own `3pc` ends through a register instead.
"""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Of the coordinator (which begins in `WAITING`) and of a participant (in `IDLE`)."""

    IDLE = "idle"
    WAITING = "waiting"
    READY = "ready"
    """Voted yes, and uncertain: the others may do either."""
    PRECOMMITTED = "pre-committed"
    """Knows that everybody voted yes."""
    COMMITTED = "committed"
    ABORTED = "aborted"


FINAL = (State.COMMITTED, State.ABORTED)


class Cause(StrEnum):
    """What moves a site: a message, a timeout, or its own recovery."""

    CAN_COMMIT = "can-commit?"
    CAN_COMMIT_NO = "can-commit?, and it cannot"
    ALL_YES = "every yes"
    A_NO = "no"
    PRE_COMMIT = "pre-commit"
    ALL_ACKS = "every ack"
    DO_COMMIT = "do-commit"
    ABORT = "abort"
    TIMEOUT = "timeout"
    RECOVERED = "recovered"
    ASKED = "what became of it?"


@dataclass(frozen=True, slots=True)
class Move:
    """The state then, and what is sent to everybody on the other side."""

    to: State
    send: str = ""


COORDINATOR: dict[tuple[State, Cause], Move] = {
    (State.WAITING, Cause.ALL_YES): Move(State.PRECOMMITTED, Cause.PRE_COMMIT),
    (State.WAITING, Cause.A_NO): Move(State.ABORTED, Cause.ABORT),
    (State.WAITING, Cause.TIMEOUT): Move(State.ABORTED, Cause.ABORT),
    (State.PRECOMMITTED, Cause.ALL_ACKS): Move(State.COMMITTED, Cause.DO_COMMIT),
    (State.PRECOMMITTED, Cause.TIMEOUT): Move(State.COMMITTED, Cause.DO_COMMIT),
    # Nobody was told to pre-commit; or everybody was who was up, and has committed by timeout.
    (State.WAITING, Cause.RECOVERED): Move(State.ABORTED, Cause.ABORT),
    (State.PRECOMMITTED, Cause.RECOVERED): Move(State.COMMITTED, Cause.DO_COMMIT),
    (State.COMMITTED, Cause.RECOVERED): Move(State.COMMITTED, Cause.DO_COMMIT),
    (State.ABORTED, Cause.RECOVERED): Move(State.ABORTED, Cause.ABORT),
}

PARTICIPANT: dict[tuple[State, Cause], Move] = {
    (State.IDLE, Cause.CAN_COMMIT): Move(State.READY, "yes"),
    (State.IDLE, Cause.CAN_COMMIT_NO): Move(State.ABORTED, "no"),
    (State.IDLE, Cause.ABORT): Move(State.ABORTED),
    (State.IDLE, Cause.RECOVERED): Move(State.ABORTED, "no"),
    (State.ABORTED, Cause.CAN_COMMIT): Move(State.ABORTED, "no"),
    (State.READY, Cause.PRE_COMMIT): Move(State.PRECOMMITTED, "ack"),
    (State.READY, Cause.ABORT): Move(State.ABORTED),
    (State.READY, Cause.DO_COMMIT): Move(State.COMMITTED),
    (State.PRECOMMITTED, Cause.DO_COMMIT): Move(State.COMMITTED),
    (State.PRECOMMITTED, Cause.ABORT): Move(State.ABORTED),
    # The two rules that a partition breaks.
    (State.READY, Cause.TIMEOUT): Move(State.ABORTED),
    (State.PRECOMMITTED, Cause.TIMEOUT): Move(State.COMMITTED),
    # Who was down does not know what the others did meanwhile, and asks.
    (State.READY, Cause.RECOVERED): Move(State.READY, Cause.ASKED),
    (State.PRECOMMITTED, Cause.RECOVERED): Move(State.PRECOMMITTED, Cause.ASKED),
}
