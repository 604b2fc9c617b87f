"""Eight processes that contend for one lock. An agent's module: its process has no client itself.

The contenders of a chunk are forked for it, so that nothing of one way lives on beside the next.
"""

import multiprocessing
import os
import secrets
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

from bench.chunks import Case, CaseFailed
from bench.locks.contender import START_S, Round, contend
from bench.locks.contest import Contest, judged
from bench.locks.ways import PATIENCE_S, Way, by_name

CONTENDERS = 8
CHUNK_S = 0.8

_forking = multiprocessing.get_context("fork")


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
            start=_forking.Barrier(CONTENDERS),
            seconds=seconds,
        )
        answers = _answers(round_)
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


def _answers(round_: Round) -> list[dict[str, Any]]:
    crew = [_start(round_) for _ in range(CONTENDERS)]
    try:
        answers = [_answer(pipe, round_) for _, pipe in crew]
    finally:
        for process, pipe in crew:
            process.kill()
            process.join()
            pipe.close()
    errors = [each["error"] for each in answers if "error" in each]
    # Who was only kept from starting says nothing of why.
    if errors:
        raise CaseFailed(next((each for each in errors if "BrokenBarrier" not in each), errors[0]))
    return answers


def _start(round_: Round) -> tuple[ForkProcess, Connection]:
    ours, theirs = _forking.Pipe(duplex=False)
    process = _forking.Process(target=contend, args=(round_, theirs), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _answer(pipe: Connection, round_: Round) -> dict[str, Any]:
    try:
        if not pipe.poll(START_S + round_.seconds + PATIENCE_S):
            return {"error": "a contender never got its lock"}
        told: dict[str, Any] = pipe.recv()
    except EOFError:
        return {"error": "a contender died"}
    return told
