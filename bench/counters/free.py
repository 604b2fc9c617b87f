"""Counting in one process that nobody disturbs. An agent's module."""

import secrets
from dataclasses import replace

from bench.chunks import Case, Chunk
from bench.counters.ways import Way, groups
from bench.crew import Crew


class Free:
    """A case: one thread, one counter; after each chunk the counter is to say what was added."""

    def __init__(self, way: Way) -> None:
        self.name = way.name
        self.chunk_s = way.chunk_s
        self._way = way
        self._counter = f"bench:{secrets.token_hex(6)}"
        self._added = 0
        self._crew: Crew | None = None

    def run(self, seconds: float) -> Chunk:
        chunk = replace(self._ready().run(seconds), each=self._way.each)
        return replace(chunk, violations=self._off(chunk.operations))

    def repeat(self, operations: int) -> int:
        done = self._ready().repeat(operations) * self._way.each
        self._off(done)
        return done

    def _ready(self) -> Crew:
        if self._crew is None:
            operation = self._way.make(self._counter)
            self._crew = Crew(self.name, lambda *_: operation, chunk_s=self.chunk_s)
        return self._crew

    def _off(self, added: int) -> int:
        """By how much the counter is wrong, which is not counted again."""
        expected, self._added = self._added + added, self._way.value(self._counter)
        return abs(self._added - expected)


def cases(group: str) -> list[Case]:
    """Of one group of ways."""
    return [Free(way) for way in groups()[group]]
