"""What a caller that waits learns of its transaction, wherever that is to be learned."""

import time
from dataclasses import dataclass

from coordination.connections import database
from coordination.exceptions import CoordinationError, OutcomeUnknown
from coordination.kernel.gids import Electorate
from coordination.transactions.coordinator import store
from coordination.transactions.mailbox import Decision, process_mailbox
from coordination.transactions.registers import alone
from coordination.transactions.types import Standing

APPLIED_POLL_MS = (10, 250)


@dataclass(slots=True, kw_only=True)
class Following:
    """A transaction in the eyes of its caller. `electorate`: what decides it, if a quorum does."""

    gid: str
    name: str
    standing: Standing | None = None
    electorate: Electorate | None = None

    def known(self) -> Decision | None:
        """The decision, if it was heard of."""
        standing = self.standing
        if standing is None or standing.outcome is None:
            return None
        return Decision(outcome=standing.outcome, reason=standing.reason)

    def decided(self, due: float) -> Decision | None:
        """Wait for the decision until `due`, monotonic seconds."""
        return self.known() or process_mailbox().wait(self.gid, until=due, poll=self.poll)

    def poll(self) -> Decision | None:
        """Look for it in the row, or where a quorum keeps it."""
        try:
            standing = store().standing(self.gid)
        except database.UNREACHABLE:
            return self._voted()  # or keep waiting: the message or a later look may still come
        if standing is None or standing.outcome is None:
            return None
        self.standing = standing
        return self.known()

    def _voted(self) -> Decision | None:
        """What the quorum says, if that decides: it is not in the row alone."""
        if self.electorate is None:
            return None
        try:
            outcome = alone.outcome(self.gid, self.electorate)
        except CoordinationError:
            return None
        return None if outcome is None else Decision(outcome=outcome)

    def applied(self, due: float) -> str:
        """Wait until every branch has ended; returns the outcome. Raises OutcomeUnknown."""
        pause_ms, pause_ms_max = APPLIED_POLL_MS
        while True:
            try:
                standing = store().standing(self.gid)
            except database.UNREACHABLE:
                standing = None
            if standing is not None and standing.ended and standing.outcome is not None:
                return standing.outcome.value
            left_s = due - time.monotonic()
            if left_s <= 0:
                raise self.unknown()
            time.sleep(min(pause_ms / 1000, left_s))
            pause_ms = min(2 * pause_ms, pause_ms_max)

    def unknown(self) -> OutcomeUnknown:
        """The error of a caller that waits no longer."""
        return OutcomeUnknown(
            f"transaction {self.name!r} ({self.gid}) has not been seen to end; it goes on without "
            "this caller. Ask again with result().",
            name=self.name,
        )
