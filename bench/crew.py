"""Operations called in this process: by one thread, or by so many at once."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bench.chunks import Chunk

Operation = Callable[[], None]
Work = Callable[[Operation], list[float]]
Make = Callable[[int, int], Operation]
"""Makes the operation of thread `part` of `parts`; called in that thread."""


def _nothing() -> None:
    pass


class Crew:
    """A case: `threads` threads that call their operations again and again.

    `settle` returns when everything the calls started is applied. With one thread it is the
    caller's own, and a chunk costs no hand-over between threads. Cases that share a `pool` share
    the connections of its threads.
    """

    def __init__(
        self,
        name: str,
        make: Make,
        *,
        threads: int = 1,
        chunk_s: float,
        settle: Callable[[], None] = _nothing,
        pool: ThreadPoolExecutor | None = None,
    ) -> None:
        self.name = name
        self.chunk_s = chunk_s
        self._make = make
        self._threads = threads
        self._settle = settle
        self._operations: dict[int, Operation] = {}
        self._pool = pool or (ThreadPoolExecutor(threads) if threads > 1 else None)

    def run(self, seconds: float) -> Chunk:
        cpu, start = time.process_time(), time.perf_counter()
        latencies = self._everywhere(lambda operation: _until(operation, start + seconds))
        self._settle()
        elapsed = time.perf_counter() - start
        return Chunk(latencies=tuple(latencies), elapsed=elapsed, cpu=time.process_time() - cpu)

    def repeat(self, operations: int) -> int:
        each = -(-operations // self._threads)
        self._everywhere(lambda operation: [_timed(operation) for _ in range(each)])
        self._settle()
        return each * self._threads

    def _everywhere(self, work: Work) -> list[float]:
        if self._pool is None:
            return self._one(work, 0)
        futures = [self._pool.submit(self._one, work, part) for part in range(self._threads)]
        return [latency for future in futures for latency in future.result()]

    def _one(self, work: Work, part: int) -> list[float]:
        return work(self._operation(part))

    def _operation(self, part: int) -> Operation:
        if part not in self._operations:
            self._operations[part] = self._make(part, self._threads)
        return self._operations[part]


def _until(operation: Operation, due: float) -> list[float]:
    latencies = [_timed(operation)]
    while time.perf_counter() < due:
        latencies.append(_timed(operation))
    return latencies


def _timed(operation: Operation) -> float:
    start = time.perf_counter()
    operation()
    return time.perf_counter() - start
