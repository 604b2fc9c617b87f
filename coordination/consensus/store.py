"""What the stores of registers do, and what the acceptors of a quorum do."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from coordination.consensus.answers import Answer
from coordination.consensus.messages import Message
from coordination.consensus.types import (
    Register,
    Reply,
    Seat,
    Stamp,
    View,
)


class Registers(Protocol):
    """Registers of one kind. Every call ends within its deadline."""

    alias: str
    deadline_ms: int

    def decide(self, register: Register, value: str, *, deadline_ms: int | None = None) -> str:
        """The value that the register holds for ever: `value`, unless another was first.

        Raises:
            StoreUnavailable: `value` was not written, and will not be by this call.
            OutcomeUnknown: it may be written, now or later; `read` settles it.
            RegisterForgotten: the register's period is over.
        """

    def read(self, register: Register, *, deadline_ms: int | None = None) -> str | None:
        """The value that the register holds, or None; what is half written is finished first.

        Raises StoreUnavailable, OutcomeUnknown and RegisterForgotten.
        """

    def decide_many(
        self, wishes: Mapping[Register, str | None], *, deadline_ms: int | None = None
    ) -> dict[Register, Answer]:
        """As `decide`, or as `read` where the wish is None, of each; what a server does is told."""

    def peek_many(
        self, registers: Sequence[Register], *, deadline_ms: int | None = None
    ) -> dict[Register, Answer]:
        """What each holds, as far as it can be told without writing."""

    def forget_before(self, period: int, *, deadline_ms: int | None = None) -> None:
        """Forget the registers of the periods below this one, and refuse whoever comes late.

        Only once nobody needs to ask for any of them. Raises StoreUnavailable, OutcomeUnknown: say
        it again.
        """


class Begun(Protocol):
    """Messages that were sent to an acceptor, and its answers on their way."""

    @property
    def is_unsent(self) -> bool:
        """Whether some of it waits for room to be written."""

    def fileno(self) -> int:
        """What is readable when more of the answers has come; -1: `ring` is called instead."""

    def advance(self) -> bool:
        """Take what has come, without waiting; True once nothing more is to come."""

    def replies(self) -> list[Reply] | None:
        """The answers, after the last `advance`. None: `ask` for them, nothing stands against it.

        Raises StoreUnavailable and OutcomeUnknown.
        """

    def leave(self) -> None:
        """Nobody waits for it any more. What was sent stays sent."""


class Acceptor(Protocol):
    """One store as the acceptor of a quorum.

    A call of unknown outcome is a message that may still arrive, before or after later ones. Every
    call raises StoreUnavailable (nothing was done) or OutcomeUnknown within `deadline_ms`.
    """

    alias: str

    def ask(self, stamp: Stamp, messages: Sequence[Message], *, deadline_ms: int) -> list[Reply]:
        """Its answers, one a message, in one round trip as a rule. No register comes twice."""

    def begin(
        self, stamp: Stamp, messages: Sequence[Message], *, ring: Callable[[], None]
    ) -> Begun | None:
        """Send them without waiting; None, and nothing is sent, when that cannot be done now."""

    def seat(self, *, deadline_ms: int) -> Seat:
        """What it says of itself."""

    def give_birth(self, incarnation: str, view: View, *, deadline_ms: int) -> bool:
        """Let it begin without memory under this name. False: it has one already."""

    def install(self, incarnation: str, view: View, *, deadline_ms: int) -> None:
        """Let it go by a view, unless it goes by a later one; only the incarnation that is meant.

        From then on it refuses requests that go by an earlier view.
        """

    def raise_floor(self, incarnation: str, period: int, *, deadline_ms: int) -> None:
        """Refuse registers of periods below this one from now on, and forget them."""

    def keys(self, *, deadline_ms: int) -> Iterator[tuple[int, str]]:
        """Period and key of every register in which it has accepted a value."""

    def bury(self, *, deadline_ms: int) -> None:
        """Forget everything, its birth too. Only for one that counts in no view."""
