"""What is done to the servers of a quorum, and what a proposer leaves that is killed."""

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from coordination.consensus.messages import Look, Offer, Prepare
from coordination.consensus.stores.paxos import PaxosRegisters
from coordination.consensus.types import (
    Accepted,
    Agreed,
    Ballot,
    Promised,
    Register,
    Seen,
    Stamp,
)
from tests.consensus_stores import (
    Quorum,
)

CELL = Register(name="cell")
VOTE = Register(name="vote", opening="yes")


@contextmanager
def frozen(servers: Quorum, *aliases: str) -> Iterator[None]:
    with ExitStack() as stack:
        for alias in aliases:
            servers.servers[alias].freeze()
            stack.callback(servers.servers[alias].thaw)
        yield


@contextmanager
def within(seconds: float) -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < seconds


def lose_memory(servers: Quorum, alias: str) -> None:
    """As when its disk is replaced."""
    server = servers.servers[alias]
    server.kill()
    shutil.rmtree(server.folder / "appendonlydir")
    server.start()


def kept_by(quorum: PaxosRegisters, alias: str, register: Register) -> Accepted | None:
    acceptor = next(each for each in quorum.acceptors if each.alias == alias)
    (reply,) = acceptor.ask(stamp_of(quorum, alias), [Look(register)], deadline_ms=1_000)
    assert isinstance(reply, Seen), reply
    return reply.accepted


def stamp_of(quorum: PaxosRegisters, alias: str) -> Stamp:
    view = quorum.views.current(until=time.monotonic() + 5)
    return Stamp(view.incarnation(alias), view.version)


def leave_half_done(
    quorum: PaxosRegisters, ballot: Ballot, value: str, *, promised: list[str], agreed: list[str]
) -> None:
    """What a proposer leaves that is killed when some have promised, and some accepted."""
    acceptors = {each.alias: each for each in quorum.acceptors}
    for alias in promised:
        stamp = stamp_of(quorum, alias)
        (reply,) = acceptors[alias].ask(stamp, [Prepare(CELL, ballot)], deadline_ms=1_000)
        assert isinstance(reply, Promised), reply
    for alias in agreed:
        stamp = stamp_of(quorum, alias)
        (reply,) = acceptors[alias].ask(stamp, [Offer(CELL, ballot, value)], deadline_ms=1_000)
        assert isinstance(reply, Agreed), reply
