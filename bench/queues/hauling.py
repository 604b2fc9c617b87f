"""One producer and one consumer of a queue, each a process. An agent's module.

Every body begins with its number, so that it is known of each message when it was taken, and
whether it was taken once.
"""

import multiprocessing
import secrets
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, Literal

from bench.chunks import Case, CaseFailed, Chunk
from bench.crowd import Ready, together
from bench.queues.ways import Way, groups

Mode = Literal["both", "publishing", "latency"]
"""Both at once as fast as they can; publishing alone; one message each 10 ms."""

BODY_BYTES = 1024
DIGITS = 9
RATE_PER_S = 100
CHUNK_S = {"both": 0.4, "publishing": 0.4, "latency": 0.6}
PATIENCE_S = 3
"""For how long nothing comes until the rest is lost."""
MOST_S = 60
UNKNOWN = -1
_PRELOADED = ("aio_pika", "celery.worker", "dramatiq", "kombu", "pika", "procrastinate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Haul(Chunk):
    """One turn. `latencies` are from the call that publishes until it is taken."""

    messages: int
    lost: int
    twice: int
    left: int
    """Not acked in the end."""

    @property
    def operations(self) -> int:
        return self.messages


class Consumer:
    """Its hands; see `bench.queues.ways.Hands`."""

    def __init__(self, ready: Ready, published: Any, *, wait: bool) -> None:
        self._ready, self._published, self._wait = ready, published, wait
        self.numbers: list[int] = []
        self.had: list[float] = []
        self.last = time.monotonic()
        self.begun_cpu = 0.0
        self.ended_cpu = 0.0

    def ready(self) -> None:
        self._ready()
        while self._wait and self._published.value == UNKNOWN:
            time.sleep(0.01)
        self.last = time.monotonic()
        self.begun_cpu = time.process_time()

    def take(self, bodies: Sequence[str]) -> None:
        now = time.monotonic()
        self.numbers += [int(body[:DIGITS]) for body in bodies]
        self.had += [now] * len(bodies)
        self.acked()

    def acked(self) -> None:
        self.last = time.monotonic()
        self.ended_cpu = time.process_time()

    @property
    def complete(self) -> bool:
        due: int = self._published.value
        if due == UNKNOWN:
            return False
        return len(self.numbers) >= due or time.monotonic() > self.last + PATIENCE_S


class Hauling:
    """A case: every chunk has processes and a queue of its own."""

    def __init__(self, way: Way, mode: Mode) -> None:
        self.name = way.name
        self.chunk_s = CHUNK_S[mode]
        self._way = way
        self._mode: Mode = mode

    def run(self, seconds: float) -> Haul:
        way, name = self._way, f"bench-{secrets.token_hex(6)}"
        self._alone(way.make, name)
        published = multiprocessing.get_context("fork").Value("q", UNKNOWN)
        produced, consumed = together(
            [
                partial(_produce, way, name, self._mode, seconds, published),
                partial(_consume, way, name, self._mode, published),
            ],
            patience_s=seconds + MOST_S,
        )
        left = self._alone(way.left, name)
        return judged(produced, consumed, mode=self._mode, left=left)

    def repeat(self, operations: int) -> int:
        """One short chunk, however many that are."""
        haul = self.run(self.chunk_s / 4)
        if haul.violations:
            raise CaseFailed(f"{haul.lost} lost, {haul.twice} twice, {haul.left} left")
        return haul.messages

    def _alone(self, work: Any, name: str) -> Any:
        (told,) = together([lambda _: work(name)], patience_s=MOST_S)
        return told


def judged(produced: dict[str, Any], consumed: dict[str, Any], *, mode: Mode, left: int) -> Haul:
    """A haul from what both ends saw, and from what was left in the queue."""
    asked, numbers = produced["asked"], consumed["numbers"]
    times = Counter(numbers)
    lost, twice = len(asked) - len(times), len(numbers) - len(times)
    alone, paced = mode == "publishing", mode == "latency"
    took = (had - asked[number] for number, had in zip(numbers, consumed["had"], strict=True))
    return Haul(
        latencies=tuple(took) if paced else (),
        elapsed=(produced["ended"] if alone else consumed["last"]) - produced["begun"],
        cpu=produced["cpu"] + (0 if alone else consumed["cpu"]),
        violations=lost + twice + left,
        messages=len(asked),
        lost=lost,
        twice=twice,
        left=left,
    )


def cases(group: str, mode: Mode) -> list[Case]:
    """Of one group of ways."""
    for module in _PRELOADED:
        try:
            import_module(module)
        except ImportError:
            continue  # its case will tell
    ways = groups().values() if mode == "latency" else [groups()[group]]
    return [Hauling(way, mode) for several in ways for way in several]


def _produce(
    way: Way, name: str, mode: Mode, seconds: float, published: Any, ready: Ready
) -> dict[str, Any]:
    publish = way.publisher(name)
    filling = "x" * (BODY_BYTES - DIGITS)
    asked: list[float] = []
    ready()
    cpu, begun = time.process_time(), time.monotonic()
    due = begun + seconds
    while (now := time.monotonic()) < due:
        if mode == "latency":
            now = _tick(begun, len(asked))
        batch = 1 if mode == "latency" else way.batch
        first = len(asked)
        asked += [now] * batch
        publish([f"{number:0{DIGITS}}{filling}" for number in range(first, first + batch)])
    ended = time.monotonic()
    published.value = len(asked)
    cpu = time.process_time() - cpu
    return {"asked": asked, "begun": begun, "ended": ended, "cpu": cpu}


def _tick(begun: float, number: int) -> float:
    """Sleep until it is time for a message; when it should have been published."""
    at = begun + number / RATE_PER_S
    time.sleep(max(0.0, at - time.monotonic()))
    return at


def _consume(way: Way, name: str, mode: Mode, published: Any, ready: Ready) -> dict[str, Any]:
    hands = Consumer(ready, published, wait=mode == "publishing")
    way.consume(name, hands)
    return {
        "numbers": hands.numbers,
        "had": hands.had,
        "last": hands.last,
        "cpu": hands.ended_cpu - hands.begun_cpu,
    }
