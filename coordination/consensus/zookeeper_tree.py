"""Where registers stand in ZooKeeper, and what is done to many nodes at once."""

import zlib
from collections.abc import Callable, Iterator
from typing import Any

from coordination.connections.zookeeper_errors import ZooKeeperRefused
from coordination.connections.zookeeper_requests import Children, Commit, Create, Delete, Request
from coordination.consensus.types import Register
from coordination.locks.stores.zookeeper.paths import quoted, unquoted

SHARDS = 64
"""Of a period: ZooKeeper lists at most about a megabyte of children."""
BATCH = 100

Ask = Callable[..., list[Any]]


class Tree:
    """Nodes of registers: ``<top>/<period>/<shard>/<key>``."""

    def __init__(self, top: str) -> None:
        self.top = top

    def path(self, register: Register) -> str:
        """Of a register's node."""
        shard = zlib.crc32(register.key.encode()) % SHARDS
        return f"{self.top}/{register.period}/{shard}/{quoted(register.key)}"

    def periods(self, ask: Ask) -> list[int]:
        """Those of which anything stands here."""
        return sorted(int(name) for name in children(self.top, ask) if name.isdigit())

    def keys(self, ask: Ask) -> Iterator[tuple[int, str]]:
        """Period and key of every node."""
        for period in self.periods(ask):
            for shard in children(f"{self.top}/{period}", ask):
                for name in children(f"{self.top}/{period}/{shard}", ask):
                    yield period, unquoted(name)

    def remove(self, period: int, ask: Ask) -> None:
        """Remove all of a period."""
        above = f"{self.top}/{period}"
        for shard in children(above, ask):
            whole = f"{above}/{shard}"
            names = children(whole, ask)
            for start in range(0, len(names), BATCH):
                some = names[start : start + BATCH]
                ask(*[Commit((Delete(f"{whole}/{name}"),)) for name in some])
            ask(Commit((Delete(whole),)))
        ask(Commit((Delete(above),)))


def make_parents(path: str, ask: Ask) -> None:
    """Make the nodes above this one that are not there."""
    parts = path.split("/")[1:-1]
    above = ["/" + "/".join(parts[: depth + 1]) for depth in range(len(parts))]
    # What is there is refused, each by itself.
    ask(*[Commit((Create(path=each),)) for each in above])


def children(path: str, ask: Ask) -> list[str]:
    """Names of the nodes below this one; none where it is not."""
    request: Request = Children(path)
    (found,) = ask(request)
    return [] if isinstance(found, ZooKeeperRefused) else list(found[0])
