"""Verdicts and their violations. A verdict too old to trust reads UNPROVEN, whatever it says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import QuerySet

from coordination.observing.records import Verdict, Violation
from coordination.observing.types import VerdictState
from dashboard.addresses import address_of
from dashboard.limits import VIOLATION_ROWS
from dashboard.promises import ATOMICITY, PROMISES
from dashboard.queries.bounds import alias
from dashboard.rows import epoch_ms

_SEVERITY: Final = ("VIOLATED", "UNPROVEN", "CHECKING", "HOLDS")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRow:
    """What one checker says. `checked_ms` is None before its first round."""

    name: str
    stored: VerdictState
    reason: str
    checked: int
    violations: int
    acknowledged: int
    window_start_ms: int | None
    checked_ms: int | None
    period_ms: int
    evidence: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The promise's name."""
        return PROMISES[self.name].title

    @property
    def claim(self) -> str:
        """The promise in words."""
        return PROMISES[self.name].claim

    def state_at(self, now_ms: int) -> VerdictState:
        """Red stays red; everything else needs a check younger than two periods."""
        if self.stored is VerdictState.VIOLATED:
            return self.stored
        late = self.checked_ms is None or now_ms - self.checked_ms > 2 * self.period_ms
        return VerdictState.UNPROVEN if late else self.stored

    def wire(self) -> dict[str, Any]:
        """As JSON; the page judges freshness by its own clock."""
        return {
            "name": self.name,
            "title": self.title,
            "claim": self.claim,
            "state": self.stored.value,
            "reason": self.reason,
            "checked": self.checked,
            "violations": self.violations,
            "acknowledged": self.acknowledged,
            "window": self.window_start_ms,
            "at": self.checked_ms,
            "period": self.period_ms,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ViolationRow:
    """One broken rule with what shows it."""

    pk: int
    verdict: str
    gid: str
    """What broke it: a transaction's gid, or the key of a lock or counter."""
    branch_seq: int
    kind: str
    sentence: str
    found_ms: int
    evidence: Mapping[str, Any]
    acknowledged_ms: int | None
    acknowledged_by: str
    acknowledged_reason: str

    @property
    def address(self) -> str:
        """The page of what broke it."""
        return address_of(PROMISES[self.verdict].object, self.gid)

    def wire(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "id": self.pk,
            "gid": self.gid,
            "verdict": self.verdict,
            "branch": self.branch_seq,
            "kind": self.kind,
            "sentence": self.sentence,
            "found": self.found_ms,
            "evidence": self.evidence,
            "acknowledged": self.acknowledged_ms,
            "by": self.acknowledged_by,
            "why": self.acknowledged_reason,
        }


def verdict(name: str) -> VerdictRow:
    """One verdict; UNPROVEN with its reason when no checker ever wrote it."""
    row = Verdict.objects.using(alias()).filter(name=name).first()
    if row is None:
        return VerdictRow(
            name=name,
            stored=VerdictState.UNPROVEN,
            reason="no auditor has run yet",
            checked=0,
            violations=0,
            acknowledged=0,
            window_start_ms=None,
            checked_ms=None,
            period_ms=0,
        )
    return VerdictRow(
        name=row.name,
        stored=VerdictState(row.state),
        reason=row.reason,
        checked=row.checked,
        violations=row.violations,
        acknowledged=row.acknowledged,
        window_start_ms=epoch_ms(row.window_start),
        checked_ms=epoch_ms(row.checked_at),
        period_ms=int(row.period_s * 1000),
        evidence=row.evidence,
    )


def verdicts() -> tuple[VerdictRow, ...]:
    """Atomicity, and every other promise that somebody checks."""
    written = set(Verdict.objects.using(alias()).values_list("name", flat=True))
    return tuple(verdict(name) for name in PROMISES if name == ATOMICITY or name in written)


def worst(found: Iterable[VerdictRow], now_ms: int) -> VerdictState:
    """What can be said of all of them together."""
    return min((row.state_at(now_ms) for row in found), key=_SEVERITY.index)


def open_violations() -> int:
    """How many violations of all promises nobody has acknowledged, up to `VIOLATION_ROWS`."""
    found = Violation.objects.using(alias()).filter(
        verdict__in=list(PROMISES), acknowledged_at__isnull=True
    )
    return found.order_by()[:VIOLATION_ROWS].count()


def violations(
    name: str, *, gid: str | None = None, open_only: bool = False, limit: int = VIOLATION_ROWS
) -> tuple[ViolationRow, ...]:
    """Violations of one promise, the open ones first, then the newest."""
    found: QuerySet[Violation] = Violation.objects.using(alias()).filter(verdict=name)
    if gid is not None:
        found = found.filter(gid=gid)
    unacknowledged = list(found.filter(acknowledged_at__isnull=True).order_by("-found_at")[:limit])
    if open_only or len(unacknowledged) == limit:
        return tuple(map(_violation, unacknowledged))
    rest = found.filter(acknowledged_at__isnull=False).order_by("-found_at")
    return tuple(map(_violation, [*unacknowledged, *rest[: limit - len(unacknowledged)]]))


def _violation(row: Violation) -> ViolationRow:
    return ViolationRow(
        pk=row.pk,
        verdict=row.verdict,
        gid=row.gid,
        branch_seq=row.branch_seq,
        kind=row.kind,
        sentence=row.sentence,
        found_ms=epoch_ms(row.found_at) or 0,
        evidence=row.evidence,
        acknowledged_ms=epoch_ms(row.acknowledged_at),
        acknowledged_by=row.acknowledged_by,
        acknowledged_reason=row.acknowledged_reason,
    )
