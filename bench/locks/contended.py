"""Eight processes that contend for one lock. An agent's module: its process has no client."""

import os
import secrets
from functools import partial
from pathlib import Path

from bench.chunks import Case
from bench.crowd import together
from bench.locks.contender import Round, contend
from bench.locks.contest import Contest, judged
from bench.locks.ways import PATIENCE_S, Way, by_name

CONTENDERS = 8
CHUNK_S = 0.8


class Contended:
    """A case: every chunk has contenders and a lock of its own."""

    chunk_s = CHUNK_S

    def __init__(self, way: Way) -> None:
        self.name = way.name
        self._way = way

    def run(self, seconds: float) -> Contest:
        round_ = Round(
            way=self._way,
            lock=f"bench:{secrets.token_hex(6)}",
            inside=Path(os.environ["BENCH_FOLDER"]) / secrets.token_hex(6),
            seconds=seconds,
        )
        works = [partial(contend, round_)] * CONTENDERS
        answers = together(works, patience_s=seconds + PATIENCE_S)
        return judged(
            [each["records"] for each in answers],
            due=min(each["due"] for each in answers),
            seconds=seconds,
            cpu=sum(each["cpu"] for each in answers),
            met=sum(each["met"] for each in answers),
        )

    def repeat(self, operations: int) -> int:
        """One short chunk, however many that are."""
        return sum(self.run(CHUNK_S / 4).grants)


def cases() -> list[Case]:
    """Every way to have a lock."""
    return [Contended(way) for way in by_name().values()]
