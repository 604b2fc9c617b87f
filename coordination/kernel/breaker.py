"""A circuit breaker, pure: who keeps failing is left alone, and then probed, ever less often.

    CLOSED ── FAILURES_MAX failures in a row ──▶ OPEN ── its pause is over ──▶ PROBING
       ▲                                          ▲                             │  │
       └───────────── a success, or a person ─────┼─────────────────────────────┘  │
                                                  └──────── the probe failed ◀─────┘

Whoever asks while it is open, or while somebody else probes, is refused. A probe that never tells
what came of it, because its process was killed, is given up after `PROBE_MS`.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from coordination.kernel.backoff import backoff_ms

FAILURES_MAX = 5
PAUSE_BASE_MS, PAUSE_CAP_MS = 1_000, 30_000
PROBE_MS = 15_000


class BreakerState(StrEnum):
    CLOSED = "closed"
    """All may pass."""
    OPEN = "open"
    """Nobody may, until its pause is over."""
    PROBING = "probing"
    """One passes, and its answer decides."""


class Sign(StrEnum):
    """What a breaker is told."""

    ASKED = "asked"
    """Somebody wants to pass."""
    FAILED = "failed"
    """Who passed got no answer."""
    SUCCEEDED = "succeeded"
    """Who passed got an answer, whatever it was."""
    LEFT = "left"
    """Who passed did not try after all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """One breaker. Times are milliseconds of the caller's monotonic clock."""

    state: BreakerState = BreakerState.CLOSED
    failures: int = 0
    """In a row, before it opened."""
    pauses: int = 0
    """In a row, each twice as long as the one before."""
    since_ms: int = 0
    """When the first of the failures in a row was told."""
    until_ms: int = 0
    """The end of the pause, or of the time that the probe has."""


def step(breaker: Breaker, sign: Sign, *, now_ms: int, uniform: float) -> tuple[Breaker, bool]:
    """The breaker after `sign`, and whether who asked may pass (False for the other signs).

    `uniform` is a number in [0, 1) from the caller's source of randomness.
    """
    if sign is Sign.ASKED:
        return _asked(breaker, now_ms)
    if sign is Sign.SUCCEEDED:
        return Breaker(), False
    if sign is Sign.LEFT:
        return _left(breaker, now_ms), False
    return _failed(breaker, now_ms, uniform), False


def _asked(breaker: Breaker, now_ms: int) -> tuple[Breaker, bool]:
    if breaker.state is BreakerState.CLOSED:
        return breaker, True
    if now_ms < breaker.until_ms:
        return breaker, False
    return replace(breaker, state=BreakerState.PROBING, until_ms=now_ms + PROBE_MS), True


def _left(breaker: Breaker, now_ms: int) -> Breaker:
    if breaker.state is BreakerState.PROBING:
        return replace(breaker, state=BreakerState.OPEN, until_ms=now_ms)
    return breaker


def _failed(breaker: Breaker, now_ms: int, uniform: float) -> Breaker:
    if breaker.state is BreakerState.OPEN:
        return breaker  # of an attempt from before it opened
    failures = breaker.failures + 1
    since_ms = now_ms if breaker.failures == 0 else breaker.since_ms
    if breaker.state is BreakerState.CLOSED and failures < FAILURES_MAX:
        return replace(breaker, failures=failures, since_ms=since_ms)
    pauses = breaker.pauses + 1
    pause_ms = backoff_ms(pauses, base_ms=PAUSE_BASE_MS, cap_ms=PAUSE_CAP_MS, uniform=uniform)
    return Breaker(
        state=BreakerState.OPEN,
        failures=min(failures, FAILURES_MAX),
        pauses=pauses,
        since_ms=since_ms,
        until_ms=now_ms + pause_ms,
    )
