"""What is asked of ZooKeeper, and how it goes over the wire.

kazoo knows neither container nodes, which the server removes once they are empty, nor the answer to
one inside a transaction, so a `Commit` is written and read here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from kazoo.exceptions import EXCEPTIONS, RolledBackError, RuntimeInconsistency
from kazoo.protocol import serialization as wire
from kazoo.security import OPEN_ACL_UNSAFE

from coordination.connections.zookeeper_errors import refusal

_EPHEMERAL, _SEQUENCE, _CONTAINER = 1, 2, 4
_CREATE, _DELETE, _SET, _CHECK, _CREATE_2, _CREATE_CONTAINER, _ERROR = 1, 2, 5, 13, 15, 19, -1


class Changed(Protocol):
    """What a watch is told."""

    @property
    def path(self) -> str | None:
        """Of the node; None when the connection was lost."""


Watch = Callable[[Changed], None]
"""Called once from a thread of the connection, when what was read has changed or the connection
was lost. Watches of one node that compare equal are one, so that looking again leaks none."""


class Stat(NamedTuple):
    """What ZooKeeper keeps beside a node's data. Times are milliseconds of the leader's clock."""

    czxid: int
    mzxid: int
    ctime_ms: int
    mtime_ms: int
    version: int
    cversion: int
    aversion: int
    owner: int
    """The session that an ephemeral node lives with."""
    length: int
    children: int
    pzxid: int
    """The last change of its children."""


@dataclass(frozen=True, slots=True)
class Get:
    """Data and Stat of a node. The watch is told of its next change, and of its end."""

    path: str
    watch: Watch | None = None


@dataclass(frozen=True, slots=True)
class Children:
    """Names of a node's children and its Stat. The watch is told when they change or it ends.

    A node that can have no children, as an ephemeral one, is thus watched for its end alone.
    """

    path: str
    watch: Watch | None = None


@dataclass(frozen=True, slots=True)
class Sync:
    """Let this server catch up with its leader before what is read after it."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """A step: make a node. Its result is the path, or the Stat of a container."""

    path: str
    data: bytes = b""
    ephemeral: bool = False
    sequence: bool = False
    """Whether the server puts the next number of its parent behind the path."""
    container: bool = False
    """Whether the server removes it some time after its last child."""


@dataclass(frozen=True, slots=True)
class Delete:
    """A step: remove a node, in the given version of its data; -1 is any."""

    path: str
    version: int = -1


@dataclass(frozen=True, slots=True)
class Write:
    """A step: write a node's data over the given version; its result is the new Stat."""

    path: str
    data: bytes
    version: int = -1


@dataclass(frozen=True, slots=True)
class Check:
    """A step that changes nothing: refuse all of them unless the node has this version."""

    path: str
    version: int


Step = Create | Delete | Write | Check


@dataclass(frozen=True, slots=True)
class Commit:
    """Steps that are all applied in one, or not at all. Its reply: their results."""

    steps: Sequence[Step]


Request = Get | Children | Sync | Commit


class _Steps:
    """A transaction as kazoo's connection sends and reads it."""

    type = wire.Transaction.type

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps

    def serialize(self) -> bytearray:
        out = bytearray()
        for step in self._steps:
            code, body = _encoded(step)
            out += wire.MultiHeader(code, False, -1).serialize() + body.serialize()
        out += wire.MultiHeader(-1, True, -1).serialize()
        return out

    @classmethod
    def deserialize(cls, data: bytes, offset: int) -> list[Any]:
        results: list[Any] = []
        while True:
            header, offset = wire.MultiHeader.deserialize(data, offset)
            if header.done:
                return results
            result, offset = _result(header.type, data, offset)
            results.append(result)


def _encoded(step: Step) -> tuple[int, Any]:
    match step:
        case Create():
            flags = (
                (_EPHEMERAL if step.ephemeral else 0)
                | (_SEQUENCE if step.sequence else 0)
                | (_CONTAINER if step.container else 0)
            )
            code = _CREATE_CONTAINER if step.container else _CREATE
            return code, wire.Create(step.path, step.data, OPEN_ACL_UNSAFE, flags)
        case Delete():
            return _DELETE, wire.Delete(step.path, step.version)
        case Write():
            return _SET, wire.SetData(step.path, step.data, step.version)
        case Check():
            return _CHECK, wire.CheckVersion(step.path, step.version)


def _result(code: int, data: bytes, offset: int) -> tuple[Any, int]:
    result: Any = True
    if code in (_CREATE, _CREATE_2, _CREATE_CONTAINER):
        result, offset = wire.read_string(data, offset)
    if code in (_SET, _CREATE_2, _CREATE_CONTAINER):
        result = Stat._make(wire.stat_struct.unpack_from(data, offset))
        offset += wire.stat_struct.size
    if code == _ERROR:
        (error,) = wire.int_struct.unpack_from(data, offset)
        result = EXCEPTIONS[error]()
        offset += wire.int_struct.size
    return result, offset


def encoded(request: Request) -> Any:
    """A request as kazoo's connection sends it."""
    match request:
        case Get():
            return wire.GetData(request.path, request.watch)
        case Children():
            return wire.GetChildren2(request.path, request.watch)
        case Sync():
            return wire.Sync(request.path)
        case Commit():
            return _Steps(request.steps)


def reply_of(request: Request, raw: Any, *, store: str) -> Any:
    """What a caller gets: (data or names, Stat), or the results of steps.

    A transaction that was refused comes back as the ZooKeeperRefused of the step that was at fault.
    """
    if isinstance(request, Get | Children):
        return raw[0], Stat._make(raw[1])
    if isinstance(request, Commit):
        for index, result in enumerate(raw):
            if isinstance(result, Exception) and not isinstance(
                result, RolledBackError | RuntimeInconsistency
            ):
                return refusal(result, store=store, index=index)
    return raw
