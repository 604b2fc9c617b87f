"""Where things lie in ZooKeeper's tree, and what a claim's name says of it. Pure.

/concord/clock                     written to learn the leader's time
/concord/log                       the present segment of events and the base of tokens
/concord/events/<segment>/<n>      one node an event
/concord/done/<id>                 what became of a call, for its repetitions
/concord/<kind>/<name>             a container: there while somebody holds the name or waits
/concord/<kind>/<name>/<claim>     one ephemeral node each who holds or waits
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from coordination.locks.types import Kind, Mode, Resource

WORN_OUT = 2**31 - 2**20
"""ZooKeeper numbers children up to 2^31 - 1, and beyond that gives the same number for ever. Their
parent goes whenever nobody holds or waits, and the numbers begin anew with the next."""

_LETTERS = {Mode.EXCLUSIVE: "x", Mode.SHARED: "s", Mode.PERMIT: "p", Mode.PARTY: "b"}
_MODES = {letter: mode for mode, letter in _LETTERS.items()}


class Tree:
    """The paths below one root."""

    def __init__(self, root: str) -> None:
        self.top = f"{root}/concord"
        self.clock = f"{self.top}/clock"
        self.log = f"{self.top}/log"
        self.events = f"{self.top}/events"
        self.calls = f"{self.top}/done"
        ancestors = self.top.split("/")[1:]
        self.lasting = (
            *("/" + "/".join(ancestors[:depth]) for depth in range(1, len(ancestors) + 1)),
            *(self.clock, self.events, self.calls),
            *(f"{self.top}/{kind}" for kind in Kind),
        )
        """What has to be there before anything else, parents first."""

    def kind(self, kind: Kind) -> str:
        """The parent of all names of one kind."""
        return f"{self.top}/{kind}"

    def name(self, resource: Resource) -> str:
        """The parent of a name's claims."""
        return f"{self.top}/{resource.kind}/{quoted(resource.name)}"

    def call(self, id_: str) -> str:
        """Where it stands what became of a call."""
        return f"{self.calls}/{quoted(id_)}"

    def segment(self, number: int) -> str:
        """The parent of one segment's events."""
        return f"{self.events}/{number}"


def quoted(text: str) -> str:
    """As a node's name; a name of dots alone would be refused."""
    return quote(text, safe=":@+,=").replace(".", "%2E")


def unquoted(name: str) -> str:
    """The text of a node's name."""
    return unquote(name)


@dataclass(frozen=True, slots=True)
class ClaimName:
    """What the rule of `machine` has to know of a claim, without reading its node."""

    node: str
    mode: Mode
    limit: int
    id: str
    number: int
    """Its place among all claims of its parent: given by the server, in the order of asking."""


def claim_prefix(id_: str, mode: Mode, limit: int) -> str:
    """A claim's name before the server puts its number behind it.

    With the id in it, a claim whose answer was lost is found again.
    """
    return f"{_LETTERS[mode]}{limit}-{quoted(id_)}-"


def in_order(nodes: Iterable[str]) -> list[ClaimName]:
    """Claims by their arrival; other nodes are not looked at."""
    return sorted(filter(None, map(_claim_name, nodes)), key=lambda each: each.number)


def number_of(path: str) -> int:
    """What the server put behind the path of a node."""
    return int(path[-10:])


def worn_out(claims: Sequence[ClaimName]) -> bool:
    """Whether the numbers below this parent come to their end."""
    return bool(claims) and not 0 <= claims[-1].number < WORN_OUT


def _claim_name(node: str) -> ClaimName | None:
    head, _, tail = node.partition("-")
    id_, number = tail[:-11], tail[-10:]
    if head[:1] not in _MODES or not head[1:].isdigit() or not number.isdigit() or not id_:
        return None
    return ClaimName(node, _MODES[head[0]], int(head[1:]), unquoted(id_), int(number))
