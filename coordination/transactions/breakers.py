"""This process's circuit breakers, one for each participant that fails, and their common reset.

Each process has its own: what one of them cannot reach, another may. A person's "try all again now"
is a time in the coordinator's database; who is about to be refused looks, at most once a second,
whether it is younger than the failures.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from coordination import conf
from coordination.connections import database
from coordination.connections.database import UNREACHABLE, Statement, StatementRefused
from coordination.exceptions import UnknownParticipant
from coordination.kernel.breaker import Breaker, BreakerState, Sign, step
from coordination.transactions.branches.answer import Busy, InDoubt, Later, NotYet
from coordination.transactions.types import Work

RESETS = "breakers"
LOOK_EVERY_MS = 1_000
RESET_AGE = """
SELECT (extract(epoch FROM clock_timestamp() - updated_at) * 1000)::bigint
FROM concord_cursor WHERE name = %s"""
RESET = """
INSERT INTO concord_cursor AS c (name, seq, epoch) VALUES (%s, 1, '')
ON CONFLICT (name) DO UPDATE SET seq = c.seq + 1, updated_at = clock_timestamp()"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why an attempt at a participant is not made, and when one will be."""

    participant: str
    reason: str
    retry_ms: int


class Breakers:
    """Those of one process, by participant; only those that have failed take room."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failing: dict[str, tuple[Breaker, str]] = {}
        self._look_at_ms = -LOOK_EVERY_MS

    def ask(self, participants: Sequence[str], *, using: str) -> Refused | None:
        """None: go on with all of them, and tell of each what came of it.

        `using` is the coordinator's database alias.
        """
        if not any(participant in self._failing for participant in participants):
            return None
        refused = self._ask(participants)
        if refused is not None and self._was_reset(refused.participant, using):
            self.succeeded(refused.participant)
            return self.ask(participants, using=using)
        return refused

    def failed(self, participant: str, reason: str) -> None:
        """It could not be reached, or did not answer in time."""
        with self._lock:
            breaker, _ = self._failing.get(participant, (Breaker(), ""))
            uniform = random.random()  # noqa: S311
            after, _ = step(breaker, Sign.FAILED, now_ms=_now_ms(), uniform=uniform)
            self._failing[participant] = (after, reason)

    def left(self, participant: str) -> None:
        """It was not tried after all."""
        with self._lock:
            if participant in self._failing:
                breaker, why = self._failing[participant]
                after, _ = step(breaker, Sign.LEFT, now_ms=_now_ms(), uniform=0)
                self._failing[participant] = (after, why)

    def succeeded(self, participant: str) -> None:
        """It answered."""
        if participant in self._failing:
            with self._lock:
                self._failing.pop(participant, None)

    def clear(self) -> None:
        """Let all pass again."""
        with self._lock:
            self._failing.clear()

    def _ask(self, participants: Sequence[str]) -> Refused | None:
        now_ms, passing = _now_ms(), dict[str, tuple[Breaker, str]]()
        with self._lock:
            for participant in participants:
                if participant not in self._failing:
                    continue
                breaker, why = self._failing[participant]
                after, passes = step(breaker, Sign.ASKED, now_ms=now_ms, uniform=0)
                if not passes:
                    # Nobody of them is tried, so none of them may be taken to be under way.
                    return _refused(participant, breaker, why, now_ms)
                passing[participant] = (after, why)
            self._failing.update(passing)
        return None

    def _was_reset(self, participant: str, using: str) -> bool:
        """Whether a person wanted all to be tried again, since it began to fail."""
        now_ms = _now_ms()
        with self._lock:
            known = self._failing.get(participant)
            if known is None or now_ms < self._look_at_ms:
                return known is None
            self._look_at_ms = now_ms + LOOK_EVERY_MS
        # Two lengths of time, so that no clock has to agree with another.
        reset_ms = _reset_age_ms(using)
        return reset_ms is not None and reset_ms < now_ms - known[0].since_ms


def asked(*works: Work) -> Refused | None:
    """None: go on, and `watched` tells what comes of it; else why none of them is to be tried."""
    names = [_name(work) for work in works]
    return _process.ask(names, using=conf.current().transactions.using)


@contextmanager
def watched(work: Work) -> Iterator[None]:
    """Tell this process's breaker whether the participant answers in this block."""
    try:
        yield
    except NotYet:
        _process.succeeded(_name(work))
        raise
    except (InDoubt, Later, *UNREACHABLE) as error:
        _process.failed(_name(work), str(error))
        raise
    except UnknownParticipant:
        _process.left(_name(work))
        raise
    except (Busy, StatementRefused):
        _process.succeeded(_name(work))
        raise
    _process.succeeded(_name(work))


def left(work: Work) -> None:
    """Tell that it was not tried after all."""
    _process.left(_name(work))


def clear() -> None:
    """Let this process try all again."""
    _process.clear()


def reset_all(using: str) -> None:
    """Let every process try all participants again; raises what `database.run` does."""
    database.run(using, Statement(RESET, (RESETS,)))
    clear()


def _name(work: Work) -> str:
    # What is ended without knowing whose it is depends on its database alone.
    return work.participant or f"database {work.using}"


def _reset_age_ms(using: str) -> int | None:
    try:
        rows = database.run(using, Statement(RESET_AGE, (RESETS,)))[0].rows
    except (StatementRefused, *UNREACHABLE):
        return None
    return rows[0][0] if rows else None


def _refused(participant: str, breaker: Breaker, why: str, now_ms: int) -> Refused:
    retry_ms = max(0, breaker.until_ms - now_ms)
    since_s, retry_s = (now_ms - breaker.since_ms) / 1000, retry_ms / 1000
    now = "it is being tried just now" if breaker.state is BreakerState.PROBING else ""
    when = now or f"it is tried again in {retry_s:.0f} s"
    reason = f"{participant} is unavailable since {since_s:.0f} s ({why[:200]}); {when}"
    return Refused(participant=participant, reason=reason, retry_ms=retry_ms)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000


_process = Breakers()
