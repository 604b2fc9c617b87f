"""The live auditor of counter histories: judges every event of counters once, and asks the stores.

Any number may run: each pass is one transaction that first moves the auditor's cursor. The verdict
says HOLDS only on evidence: a store that is not read, events that were lost or an hour without a
change make it UNPROVEN, and so does time (see `Verdict`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from coordination import conf, failpoints
from coordination.connections import database
from coordination.connections.database import Statement
from coordination.counters.comparing import Comparing
from coordination.counters.import_journal import KIND
from coordination.counters.judging import Counts, Finding, Watch, judge
from coordination.counters.watches import SAVE, read_watches, saved
from coordination.kernel.events import Event
from coordination.locks.types import moment
from coordination.observing.audits import (
    BEGIN,
    CONCLUDE,
    EVIDENCE,
    WHERE_WE_ARE,
    dispute,
    first_waiting,
    stores_read,
    unread,
    within,
)
from coordination.observing.event_rows import EVENT_COLUMNS, event_of
from coordination.observing.fences import moved, run_fenced
from coordination.observing.findings import PLACE_MAX, Broken, record
from coordination.observing.journal import CURSOR
from coordination.observing.types import VerdictState

VERDICT = "counter_history"
AUDIT = "counter-audit"
PERIOD_S = 1.0
SEQS_MAX = 2_000
"""How far along the feed one pass goes."""
FINDINGS_MAX = 50
"""A store that is broken through and through breaks rules faster than anybody reads."""
BEHIND = timedelta(seconds=5)
LEFT_MAX = 2_000
"""So many events still to be imported are no more than the work of a moment."""
GAP_SHOWN = timedelta(seconds=60)
EVIDENCE_AGE = timedelta(hours=1)
PLACES_A_ROW = 500
"""Of the findings of each row of a counter."""

# With each event the one that counted the same op id first, while its answer was to be kept; what
# a store lost, it may count again in the next era.
EVENTS = f"""
SELECT (SELECT f.version FROM concord_event f
        WHERE f.object = 'counter' AND f.name = e.name AND f.data->>'id' = e.data->>'id'
            AND f.version < e.version AND f.at > e.at - %s * interval '1 ms'
            AND coalesce(f.data->>'era', '0') = coalesce(e.data->>'era', '0')
        ORDER BY f.version LIMIT 1) AS doubled, {EVENT_COLUMNS}
FROM concord_event e WHERE seq > %s AND seq <= %s AND object = 'counter' ORDER BY seq
"""  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pass:
    """Where a pass begins and ends, and what is known of the events still on their way."""

    after: int
    until: int
    feed: int
    now: datetime
    checked: int
    evidence: Mapping[str, Any]
    unread: Mapping[str, str]
    """Store → why its events are not seen, as they should be."""
    lost: bool
    """Whether a store lost events and was not looked at as a whole since."""
    left: int
    """Events that an importer has still to copy."""
    oldest: datetime | None
    """Of the first event that has no place in the feed yet."""

    @property
    def at_rest(self) -> bool:
        """Whether, with this pass, everything that was recorded is judged."""
        waits = self.oldest is not None or self.left or self.until < self.feed
        return not (waits or self.unread)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What the events of a pass came to."""

    watches: Mapping[str, Watch]
    counts: Counts
    findings: Sequence[Finding]
    latest: datetime | None
    """Of the last event that was judged."""


class CounterAuditor:
    """Audits the counters whose events are in the database alias `using`."""

    def __init__(
        self,
        using: str,
        *,
        stores: Sequence[str],
        comparing: Comparing | None = None,
        unseen: Sequence[str] = (),
        period_s: float = PERIOD_S,
    ) -> None:
        """Audit; `stores` are those whose events an importer has to bring.

        Those of `unseen` nobody brings: the evidence names them.
        """
        self._unseen = unseen
        self._using, self._stores, self._period_s = using, stores, period_s
        self._comparing = comparing

    def step(self) -> int:
        """One pass; returns how far it came when there is more.

        Raises Fenced when another auditor was first, and what `database.run` raises.
        """
        here = self._begin()
        judged = self._judge(self._events(here))
        compared = None
        if self._comparing is not None and here.at_rest:
            compared = self._comparing.step(passed_over=judged.watches)
            judged = _Judged(
                watches={**judged.watches, **compared.watches},
                counts=judged.counts,
                findings=[*judged.findings, *compared.findings],
                latest=judged.latest,
            )
        failpoints.hit("counter-audit.commit.before")
        self._conclude(here, judged, {} if compared is None else compared.evidence)
        database.run(self._using, dispute("concord_counter_record", VERDICT))
        return here.until - here.after if here.until < here.feed else 0

    def _begin(self) -> _Pass:
        cursor, verdict, stores, waiting = database.run(
            self._using,
            Statement(WHERE_WE_ARE, (CURSOR, AUDIT)),
            Statement(EVIDENCE, (VERDICT,)),
            stores_read(KIND),
            first_waiting(KIND),
        )
        if not cursor.rows:
            database.run(self._using, Statement(BEGIN, (AUDIT,)))
            return self._begin()
        after, feed, now = cursor.rows[0]
        checked, evidence = verdict.rows[0] if verdict.rows else (0, {})
        missing = unread(stores, KIND, self._stores)
        return _Pass(
            after=after,
            until=max(after, min(after + SEQS_MAX, feed)),
            feed=feed,
            now=now,
            checked=checked,
            evidence=json.loads(evidence) if isinstance(evidence, str) else evidence,
            unread=missing.why,
            lost=missing.lost,
            left=missing.left,
            oldest=waiting.rows[0][0] if waiting.rows else None,
        )

    def _events(self, here: _Pass) -> list[tuple[int | None, Event]]:
        values = (conf.current().op_id_ttl_ms, here.after, here.until)
        rows = database.run(self._using, Statement(EVENTS, values))[0].rows
        return [(row[0], event_of(row)) for row in rows]

    def _judge(self, events: Sequence[tuple[int | None, Event]]) -> _Judged:
        watches = read_watches(self._using, {event.name for _, event in events})
        counts, findings = Counts(), list[Finding]()
        for before, event in events:
            doubled = "" if before is None else f"recorded as event {before} before"
            findings += judge(watches[event.name], event, counts, doubled=doubled)
        latest = events[-1][1].at if events else None
        return _Judged(watches=watches, counts=counts, findings=findings, latest=latest)

    def _conclude(self, here: _Pass, judged: _Judged, compared: Mapping[str, Any]) -> None:
        counts, findings = judged.counts, judged.findings
        evidence = _evidence(here, counts, findings) | _compared(here, compared)
        if self._unseen:
            evidence["stores_not_seen"] = ", ".join(self._unseen)
        state, reason = _state(here, judged, evidence)
        since = moment(counts.last_change_us) if counts.changes else None
        statements = [moved(AUDIT, before=here.after, after=here.until)]
        if judged.watches:
            statements.append(Statement(SAVE, (saved(judged.watches),)))
        statements += record(VERDICT, list(map(_broken, findings[:FINDINGS_MAX])))
        values = (
            *(VERDICT, state.value, reason, here.checked + counts.changes, since, self._period_s),
            json.dumps(evidence),
        )
        run_fenced(self._using, *statements, Statement(CONCLUDE, values))


def _evidence(here: _Pass, counts: Counts, findings: Sequence[Finding]) -> dict[str, Any]:
    """What was judged since the beginning, this pass included."""
    fresh = asdict(counts)
    last_us = fresh.pop("last_change_us")
    known = here.evidence
    evidence: dict[str, Any] = {name: known.get(name, 0) + n for name, n in fresh.items()}
    lost = counts.gaps or here.lost
    evidence |= {
        "findings_left_out": known.get("findings_left_out", 0)
        + max(0, len(findings) - FINDINGS_MAX),
        "last_change_at": moment(last_us).isoformat() if last_us else known.get("last_change_at"),
        "last_gap_at": here.now.isoformat() if lost else known.get("last_gap_at"),
        "behind": here.feed - here.until,
        "unimported": here.left,
        "stores": dict(here.unread),
    }
    return evidence


def _compared(here: _Pass, compared: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked of the stores: so many comparisons, and those that are not reached."""
    known = here.evidence
    return {
        "compared_with_stores": known.get("compared_with_stores", 0) + compared.get("compared", 0),
        "not_compared": compared.get("not_compared", known.get("not_compared", "")),
    }


def _state(here: _Pass, judged: _Judged, evidence: Mapping[str, Any]) -> tuple[VerdictState, str]:
    if here.unread:
        return VerdictState.UNPROVEN, "; ".join(sorted(here.unread.values()))
    waits = here.oldest is not None and here.now - here.oldest > BEHIND
    late = judged.latest is not None and here.now - judged.latest > BEHIND
    if waits or here.left > LEFT_MAX or (late and here.until < here.feed):
        return VerdictState.CHECKING, "events of counters have been recorded and not judged yet"
    if within(evidence["last_gap_at"], GAP_SHOWN, here.now):
        return VerdictState.UNPROVEN, f"events were lost until {evidence['last_gap_at']}"
    if evidence["last_change_at"] is None:
        return VerdictState.UNPROVEN, "nothing has been counted yet"
    if not within(evidence["last_change_at"], EVIDENCE_AGE, here.now):
        return VerdictState.UNPROVEN, f"nothing was counted since {evidence['last_change_at']}"
    return VerdictState.HOLDS, ""


def _broken(finding: Finding) -> Broken:
    store, name, *shard = finding.key.split(" ")
    row = int(shard[0]) if shard else 0
    place = row * PLACES_A_ROW + min(finding.ordinal, PLACES_A_ROW - 1)
    return Broken(
        subject=f"{store} {name}",
        place=min(place, PLACE_MAX),
        kind=finding.kind.value,
        sentence=f"Row {row}: {finding.sentence}" if row else finding.sentence,
        evidence=finding.evidence,
    )
