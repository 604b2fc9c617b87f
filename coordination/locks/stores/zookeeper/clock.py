"""What time it is for the leader, between two bounds: each of its writes is stamped with it."""

import time

OLD_S = 5.0
"""After this long the clocks may have run apart, or the leader's may have been set."""


class LeaderClock:
    """The last stamp, and when it was asked for and heard. Milliseconds."""

    def __init__(self) -> None:
        self._stamp = (0, 0.0, 0.0)
        self._valid = False

    def forget(self) -> None:
        """The next connection may lead to another leader."""
        self._valid = False

    def heard(self, stamp_ms: int, *, sent_at: float) -> None:
        """A write that was sent at `sent_at`, monotonic, was stamped so."""
        self._stamp = (stamp_ms, sent_at, time.monotonic())
        self._valid = True

    @property
    def known(self) -> bool:
        """Whether there is a stamp young enough to count from."""
        return self._valid and time.monotonic() - self._stamp[2] < OLD_S

    def at_least(self) -> int:
        """It is not earlier: what has ended by now has ended."""
        stamp_ms, _, heard_at = self._stamp
        return stamp_ms + int((time.monotonic() - heard_at) * 1000)

    def at_most(self) -> int:
        """It is not later: what has this long to go has at least this long."""
        stamp_ms, sent_at, _ = self._stamp
        return stamp_ms + 1 + int((time.monotonic() - sent_at) * 1000)
