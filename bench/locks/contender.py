"""One process that takes the lock again and again, holds it for a moment, and notes when."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.crowd import Ready
from bench.locks.contest import Record
from bench.locks.ways import Way

HOLD_S = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What all contenders of a chunk have in common."""

    way: Way
    lock: str
    inside: Path
    """A file that is there while somebody is inside."""
    seconds: float


def contend(round_: Round, ready: Ready) -> dict[str, Any]:
    """Contend; the records."""
    hold = round_.way.make()
    with hold(f"{round_.lock}:{os.getpid()}"):
        pass  # connected, and the scripts are loaded
    records: list[Record] = []
    met = 0
    ready()
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
