"""`register`: a cell that is written once, whoever writes; `register_group`: many at a time."""

from coordination.consensus.answers import Answer, Chosen, Unchosen, Unknown
from coordination.consensus.group import RegisterGroup, register_group
from coordination.consensus.naming import default_kind, refuse_reserved
from coordination.consensus.stores import registers_of
from coordination.consensus.types import KEPT, Forgotten, Register

__all__ = [
    "Answer",
    "Chosen",
    "Forgotten",
    "RegisterGroup",
    "Unchosen",
    "Unknown",
    "WriteOnce",
    "default_kind",
    "forget_before",
    "register",
    "register_group",
]


class WriteOnce:
    """A register on one kind of store. Threads may share it.

    Every verb raises StoreUnavailable (not applied) or OutcomeUnknown within `deadline` seconds,
    and RegisterForgotten.
    """

    def __init__(self, register: Register, *, using: str, deadline: float | None = None) -> None:
        self.name = register.name
        self.using = using
        self._register = register
        self._registers = registers_of(using)
        self._deadline_ms = None if deadline is None else round(deadline * 1000)

    def decide(self, value: str) -> str:
        """The value that it holds for ever: `value`, unless another was first.

        After OutcomeUnknown `value` may be written even later; `read`, or `decide` again with
        whichever value, settles it.
        """
        return self._registers.decide(self._register, value, deadline_ms=self._deadline_ms)

    def read(self) -> str | None:
        """The value that it holds, or None; what is half written is finished first."""
        return self._registers.read(self._register, deadline_ms=self._deadline_ms)

    def __repr__(self) -> str:
        return f"<WriteOnce {self.name} using {self.using}>"


def register(
    name: str,
    *,
    period: int = KEPT,
    opening: str | None = None,
    using: str | None = None,
    deadline: float | None = None,
) -> WriteOnce:
    """A register by name; nothing is sent.

    Args:
        name: with `period` and `opening` its identity: whoever differs in one means another.
        period: registers are forgotten by periods (`forget_before`); by default never.
        opening: the one value that a quorum can be offered in one round trip.
        using: "paxos" or the alias of a PostgreSQL or ZooKeeper store; by default "paxos" where
            COORDINATION["CONSENSUS"] names acceptors, else the first such store.
        deadline: seconds a call may take; by default the store's.

    Raises InvalidName, InvalidArgument, NotSupportedByStore.
    """
    cell = Register(name=refuse_reserved(name), period=period, opening=opening)
    return WriteOnce(cell, using=using or default_kind(), deadline=deadline)


def forget_before(period: int, *, using: str | None = None) -> None:
    """Forget the registers of the periods below this one; whoever names one is refused after it.

    The caller knows that all that they decided has ended everywhere. What is asked for later gets
    RegisterForgotten, never another value. Raises StoreUnavailable, OutcomeUnknown: say it again.
    """
    Register(name="floor", period=period)
    registers_of(using or default_kind()).forget_before(period)
