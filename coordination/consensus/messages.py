"""What a proposer asks of an acceptor, of one register a message. Pure."""

from dataclasses import dataclass

from coordination.consensus.types import Ballot, Register


@dataclass(frozen=True, slots=True)
class Prepare:
    """The first phase: answered by Promised or Refused, as `acceptor.prepare`."""

    register: Register
    ballot: Ballot


@dataclass(frozen=True, slots=True)
class Offer:
    """The second phase: answered by Agreed or Refused, as `acceptor.accept`."""

    register: Register
    ballot: Ballot
    value: str


@dataclass(frozen=True, slots=True)
class Look:
    """Answered by Seen: what was accepted, everything that was ever answered before included."""

    register: Register


Message = Prepare | Offer | Look


def ballot_of(message: Message) -> Ballot:
    """The ballot of a message that is answered by one."""
    assert not isinstance(message, Look), "a look has no ballot"
    return message.ballot
