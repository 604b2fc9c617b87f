"""What became of a lock's grants, and who was refused: rows of its page. Pure but for the types."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from coordination.locks.records import LockGrant, LockRefusal
from dashboard.rows import epoch_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantRow:
    """One grant, from its token to its end."""

    token: int
    mode: str
    owner: str
    context: str
    asked_ms: int | None
    granted_ms: int
    until_ms: int
    renewals: int
    ended_ms: int | None
    ended: str
    actor: str
    reason: str

    @classmethod
    def read(cls, row: LockGrant) -> GrantRow:
        """From the record."""
        return cls(
            token=row.token,
            mode=row.mode,
            owner=row.owner,
            context=row.context,
            asked_ms=epoch_ms(row.asked_at),
            granted_ms=epoch_ms(row.granted_at) or 0,
            until_ms=epoch_ms(row.until) or 0,
            renewals=row.renewals,
            ended_ms=epoch_ms(row.ended_at),
            ended=row.ended,
            actor=row.actor,
            reason=row.reason,
        )

    def end_at(self, now_ms: int) -> int | None:
        """When it ended; a lease nobody asked for again ends unsaid."""
        if self.ended_ms is not None:
            return self.ended_ms
        return self.until_ms if self.until_ms <= now_ms else None

    def how_at(self, now_ms: int) -> str:
        """`held`, or how it ended: released, expired, forced."""
        if self.ended_ms is not None:
            return self.ended or "released"
        return "expired" if self.until_ms <= now_ms else "held"

    def held_ms(self, now_ms: int) -> int:
        """How long it was held, or has been."""
        return max(0, (self.end_at(now_ms) or now_ms) - self.granted_ms)

    @property
    def waited_ms(self) -> int | None:
        """How long it was waited for."""
        return None if self.asked_ms is None else max(0, self.granted_ms - self.asked_ms)

    def wire(self) -> dict[str, Any]:
        """As JSON; a token is a text, since scripts would round a great one."""
        return {
            "token": str(self.token),
            "mode": self.mode,
            "owner": self.owner,
            "granted": self.granted_ms,
            "until": self.until_ms,
            "ended": self.ended_ms,
            "how": self.ended,
            "waited": self.waited_ms,
            "actor": self.actor,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalRow:
    """A former holder that was refused."""

    at_ms: int
    what: str
    token: int
    newer: int | None
    owner: str

    @classmethod
    def read(cls, row: LockRefusal) -> RefusalRow:
        """From the record."""
        return cls(
            at_ms=epoch_ms(row.at) or 0,
            what=row.what,
            token=row.token,
            newer=row.newer,
            owner=row.owner,
        )

    @property
    def verb(self) -> str:
        """`release`, `renewal` or `write`."""
        return {"release": "release", "renewal": "renewal", "renew": "renewal"}.get(
            self.what, "write"
        )

    def wire(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "at": self.at_ms,
            "what": self.what,
            "verb": self.verb,
            "token": str(self.token),
            "newer": None if self.newer is None else str(self.newer),
            "owner": self.owner,
        }
