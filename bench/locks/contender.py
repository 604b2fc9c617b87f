"""One process that takes the lock again and again, holds it for a moment, and notes when."""

import os
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from bench.locks.contest import Record
from bench.locks.ways import Way

HOLD_S = 0.001
START_S = 30
"""How long the others may take to be ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What all contenders of a chunk have in common."""

    way: Way
    lock: str
    inside: Path
    """A file that is there while somebody is inside."""
    start: Barrier
    seconds: float


def contend(round_: Round, answer: Connection) -> None:
    """Contend, send the records or an error, and end this process."""
    try:
        told: dict[str, Any] = _contend(round_)
    except BaseException as error:  # noqa: BLE001 - the case is told of as failed, whatever it was
        round_.start.abort()
        told = {"error": f"{type(error).__name__}: {error}"}
    answer.send(told)
    # At once: a peer's threads need not end first.
    os._exit(0)


def _contend(round_: Round) -> dict[str, Any]:
    hold = round_.way.make()
    with hold(f"{round_.lock}:{os.getpid()}"):
        pass  # connected, and the scripts are loaded
    records: list[Record] = []
    met = 0
    round_.start.wait(START_S)
    cpu, begun = time.process_time(), time.monotonic()
    due = begun + round_.seconds
    while (asked := time.monotonic()) < due:
        with hold(round_.lock):
            had = time.monotonic()
            met += not _enters_alone(round_.inside)
            time.sleep(HOLD_S)
            round_.inside.unlink(missing_ok=True)
            left = time.monotonic()
        records.append((asked, had, left))
    return {"records": records, "due": due, "cpu": time.process_time() - cpu, "met": met}


def _enters_alone(inside: Path) -> bool:
    try:
        os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True
