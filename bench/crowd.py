"""Several processes at once, forked for one round, so that nothing of it lives on beside the next.

Who forks them must have no client and no thread itself.
"""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkProcess
from multiprocessing.synchronize import Barrier
from typing import Any

from bench.chunks import CaseFailed

START_S = 30
"""How long the others may take to be ready."""

Ready = Callable[[], None]
"""Waits until everybody is."""
Work = Callable[[Ready], Any]
"""What one process does: makes itself ready, says so, works, and tells of it."""

_forking = multiprocessing.get_context("fork")


def together(works: Sequence[Work], *, patience_s: float) -> list[Any]:
    """What each of them told. Raises CaseFailed when one fails, or says nothing for so long."""
    start = _forking.Barrier(len(works))
    crew = [_start(work, start) for work in works]
    try:
        answers = [_answer(pipe, START_S + patience_s) for _, pipe in crew]
    finally:
        for process, pipe in crew:
            process.kill()
            process.join()
            pipe.close()
    errors = [error for error, _ in answers if error]
    # Who was only kept from starting says nothing of why.
    if errors:
        raise CaseFailed(next((each for each in errors if "BrokenBarrier" not in each), errors[0]))
    return [told for _, told in answers]


def _start(work: Work, start: Barrier) -> tuple[ForkProcess, Connection]:
    ours, theirs = _forking.Pipe(duplex=False)
    process = _forking.Process(target=_be, args=(work, start, theirs), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _be(work: Work, start: Barrier, answer: Connection) -> None:
    """Work, send what there is to tell or the error, and end this process."""
    try:
        told = (None, work(lambda: _wait(start)))
    except BaseException as error:  # noqa: BLE001 - the case is told of as failed, whatever it was
        start.abort()
        told = (f"{type(error).__name__}: {error}", None)
    answer.send(told)
    # At once: a peer's threads need not end first.
    os._exit(0)


def _wait(start: Barrier) -> None:
    start.wait(START_S)


def _answer(pipe: Connection, patience_s: float) -> tuple[str | None, Any]:
    try:
        if not pipe.poll(patience_s):
            return "one of its processes never answered", None
        told: tuple[str | None, Any] = pipe.recv()
    except EOFError:
        return "one of its processes died", None
    return told
