"""Words of consensus: registers, ballots, what acceptors answer, and who the acceptors are.

Pure: shared by the proposer, the acceptors' rule, their edges and the model checker.
"""

import json
from dataclasses import dataclass
from typing import Self

from coordination.exceptions import InvalidArgument, RegisterForgotten
from coordination.kernel.names import validate_name

KEPT = 2**31 - 1
"""The period of registers that are never forgotten."""
ROUND_MAX = 10**12 - 1
BALLOT_LENGTH = 29
VALUE_BYTES_MAX = 16 * 1024
OPENING_BYTES_MAX = 64


@dataclass(frozen=True, slots=True, order=True)
class Ballot:
    """One attempt to have a value chosen. No two attempts have the same, whatever crashed."""

    round: int
    by: str
    """16 characters by chance, drawn anew for each attempt, so that a proposer that forgot
    everything, or was forked, cannot come back with a ballot of its former self."""

    def __str__(self) -> str:
        """As acceptors keep it: texts compare as ballots do, byte by byte."""
        return f"{self.round:012d}:{self.by}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The ballot of a text."""
        number, _, by = text.partition(":")
        return cls(int(number), by)


OPENING = Ballot(0, "0" * 16)
"""The one ballot without a first phase. Only a register's `opening` is ever offered with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """A cell that is written once. The three parts together are its identity."""

    name: str
    period: int = KEPT
    """Registers are forgotten by periods, the lowest first; who decides which is whose is the user
    of them, and all who name one register give the same."""
    opening: str | None = None
    """The value that may be offered in one round trip, with ballot 0. It is part of the identity,
    so no two values can ever be offered with that ballot."""

    def __post_init__(self) -> None:
        """Refuse what breaks a rule, before anything is sent."""
        validate_name(self.name, what="a register's name")
        if not isinstance(self.period, int) or not 0 <= self.period <= KEPT:
            raise InvalidArgument(
                f"period of register {self.name!r} must be an int from 0 to {KEPT}, "
                f"not {self.period!r:.80}.",
                name=self.name,
            )
        if self.opening is not None:
            validate_name(self.opening, what=f"the opening of register {self.name!r}")
            if len(self.opening.encode()) > OPENING_BYTES_MAX:
                raise InvalidArgument(
                    f"the opening of register {self.name!r} is longer than {OPENING_BYTES_MAX} "
                    "bytes.",
                    name=self.name,
                )

    @property
    def key(self) -> str:
        """Its text within its period. A space is in no name, so no two registers share one."""
        return self.name if self.opening is None else f"{self.name} {self.opening}"

    @classmethod
    def of_key(cls, period: int, key: str) -> Self:
        """The register that an acceptor keeps under this key."""
        name, _, opening = key.partition(" ")
        return cls(name=name, period=period, opening=opening or None)


def validate_value(value: object, *, register: Register) -> str:
    """Return `value` if a register can hold it. Raises InvalidArgument."""
    if not isinstance(value, str) or not value or "\x00" in value:
        raise InvalidArgument(
            f"the value of register {register.name!r} must be a str that is not empty and without "
            f"NUL, not {value!r:.80}.",
            name=register.name,
        )
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise InvalidArgument(
            f"the value of register {register.name!r} is no Unicode text: {error.reason}.",
            name=register.name,
        ) from None
    if size > VALUE_BYTES_MAX:
        raise InvalidArgument(
            f"the value of register {register.name!r} takes {size} bytes; at most "
            f"{VALUE_BYTES_MAX} are allowed.",
            name=register.name,
        )
    return value


@dataclass(frozen=True, slots=True)
class Accepted:
    """A value that an acceptor has accepted, and with which ballot."""

    ballot: Ballot
    value: str


# What an acceptor answers.


@dataclass(frozen=True, slots=True)
class Promised:
    """It will accept nothing below `ballot`; `accepted` is the highest that it had accepted."""

    ballot: Ballot
    accepted: Accepted | None


@dataclass(frozen=True, slots=True)
class Agreed:
    """It has accepted what was offered with `ballot`."""

    ballot: Ballot


@dataclass(frozen=True, slots=True)
class Refused:
    """It did nothing with `ballot`: it has promised a higher one."""

    ballot: Ballot
    promised: Ballot


@dataclass(frozen=True, slots=True)
class Seen:
    """What it has accepted, looked at without a promise."""

    accepted: Accepted | None


@dataclass(frozen=True, slots=True)
class Outdated:
    """It did nothing: it goes by another view, of this version."""

    version: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """It did nothing: registers below the period `floor` are forgotten."""

    floor: int


@dataclass(frozen=True, slots=True)
class Unseated:
    """It did nothing, and does not count: it may have forgotten what it promised."""

    reason: str


Reply = Promised | Agreed | Refused | Seen | Outdated | Forgotten | Unseated


# Who the acceptors are.


@dataclass(frozen=True, slots=True)
class Member:
    """One acceptor of a view."""

    alias: str
    incarnation: str
    """Written at the acceptor's birth; empty while it has lost its memory and does not count."""


@dataclass(frozen=True, slots=True)
class View:
    """Whose memory counts. Views follow one another, each chosen by the one before it."""

    version: int
    """0 while the acceptors are being founded: then none of them serves."""
    members: tuple[Member, ...]

    @property
    def majority(self) -> int:
        """How many acceptors decide: of all, those that do not count included."""
        return len(self.members) // 2 + 1

    def incarnation(self, alias: str) -> str:
        """Of the member; empty when it does not count."""
        return next((each.incarnation for each in self.members if each.alias == alias), "")

    def with_member(self, alias: str, incarnation: str) -> Self:
        """The view that follows when this member gets another incarnation, or none."""
        members = tuple(
            Member(alias, incarnation) if each.alias == alias else each for each in self.members
        )
        return type(self)(self.version + 1, members)

    def packed(self) -> str:
        """As acceptors keep it."""
        members = {each.alias: each.incarnation for each in self.members}
        return json.dumps({"version": self.version, "members": members})

    @classmethod
    def parse(cls, text: str) -> Self:
        """The view of a text."""
        found = json.loads(text)
        members = tuple(Member(*each) for each in sorted(found["members"].items()))
        return cls(found["version"], members)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a request carries to one acceptor: whom it means and by which view."""

    incarnation: str
    version: int


@dataclass(frozen=True, slots=True)
class Seat:
    """What an acceptor says of itself."""

    incarnation: str
    """Empty: it was never born here, or has forgotten that it was."""
    view: View | None
    floor: int
    fault: str = ""
    """Why it must not be relied on as it runs now; empty when it may."""


def forgotten(floor: int, register: Register, *, store: str) -> RegisterForgotten:
    """The error that tells of a floor above the register's period."""
    return RegisterForgotten(
        f"Register {register.name!r} of period {register.period} is forgotten: store {store!r} "
        f"keeps those of period {floor} and later.",
        name=register.name,
        store=store,
    )
