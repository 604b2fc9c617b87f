"""Taking a free lock and giving it back, in one process. An agent's module."""

import secrets
import threading
from collections.abc import Callable

from django.db import connections

from bench.chunks import Case, CaseFailed, Chunk
from bench.crew import Crew
from bench.locks.ways import Hold, Way, groups

SETTLED_S = 0.05
PATIENCE_S = 10


class Pairs:
    """A case: one thread. Before its first chunk it is seen whether the lock keeps others out."""

    def __init__(self, way: Way) -> None:
        self.name = way.name
        self.chunk_s = way.chunk_s
        self._way = way
        self._crew: Crew | None = None

    def run(self, seconds: float) -> Chunk:
        return self._ready().run(seconds)

    def repeat(self, operations: int) -> int:
        return self._ready().repeat(operations)

    def _ready(self) -> Crew:
        if self._crew is None:
            require_exclusion(self._way)
            hold = self._way.make()
            self._crew = Crew(self.name, lambda *_: _pair(hold), chunk_s=self.chunk_s)
        return self._crew


def cases(group: str) -> list[Case]:
    """Of one group of ways."""
    return [Pairs(way) for way in groups()[group]]


def require_exclusion(way: Way) -> None:
    """Raise CaseFailed unless a second one gets in after the first left, and not before."""
    name = f"bench:{secrets.token_hex(6)}"
    inside = threading.Event()
    with way.make()(name):
        second = threading.Thread(target=_enter, args=(way, name, inside), daemon=True)
        second.start()
        if inside.wait(SETTLED_S):
            raise CaseFailed("two were inside at once")
    second.join(PATIENCE_S)
    if not inside.is_set():
        raise CaseFailed("nobody got in after the first had left")


def _enter(way: Way, name: str, inside: threading.Event) -> None:
    with way.make()(name):
        inside.set()
    connections.close_all()


def _pair(hold: Hold) -> Callable[[], None]:
    name = f"bench:{secrets.token_hex(6)}"

    def operation() -> None:
        with hold(name):
            pass

    return operation
