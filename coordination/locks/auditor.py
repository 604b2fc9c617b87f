"""The live auditor of mutual exclusion: judges every event of locks once and keeps the verdict.

Any number may run: each pass is one transaction that first moves the auditor's cursor. The verdict
says HOLDS only on evidence: a store that is not read, events that were lost or an hour without a
grant make it UNPROVEN, and so does time (see `Verdict`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from coordination import failpoints
from coordination.connections import database
from coordination.connections.database import Statement
from coordination.kernel.events import Event
from coordination.locks.import_journal import KIND
from coordination.locks.judging import Counts, Finding, Watch, judge
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

VERDICT = "mutual_exclusion"
AUDIT = "lock-audit"
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

EVENTS = f"""
SELECT {EVENT_COLUMNS} FROM concord_event
WHERE seq > %s AND seq <= %s AND object = 'lock' ORDER BY seq
"""  # noqa: S608
WATCHES = "SELECT key, version, state FROM concord_lock_watch WHERE key = ANY(%s::text[])"
REFUSED_MAX = 100_000
"""Nobody needs to know how many more there were."""
STALE_WRITES_REFUSED = f"""
SELECT count(*) FROM
    (SELECT FROM concord_lock_refusal WHERE what <> 'release' LIMIT {REFUSED_MAX}) refused
"""  # noqa: S608

SAVE_WATCHES = """
INSERT INTO concord_lock_watch (key, version, state)
SELECT key, version, state FROM jsonb_to_recordset(%s::jsonb)
    AS x(key text, version int, state jsonb)
ON CONFLICT (key) DO UPDATE SET version = excluded.version, state = excluded.state
"""


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
    stale_writes_refused: int
    """As far as those who were refused could tell the records, in the days these are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """What the events of a pass came to."""

    watches: Mapping[str, Watch]
    counts: Counts
    findings: Sequence[Finding]
    latest: datetime | None
    """Of the last event that was judged."""


class LockAuditor:
    """Audits the locks whose events are in the database alias `using`."""

    def __init__(self, using: str, *, stores: Sequence[str], period_s: float = PERIOD_S) -> None:
        """Audit; `stores` are those whose events an importer has to bring."""
        self._using, self._stores, self._period_s = using, stores, period_s

    def step(self) -> int:
        """One pass; returns how far it came when there is more.

        Raises Fenced when another auditor was first, and what `database.run` raises.
        """
        here = self._begin()
        judged = self._judge(self._events(here))
        failpoints.hit("lock-audit.commit.before")
        self._conclude(here, judged)
        database.run(self._using, dispute("concord_lock_record", VERDICT))
        return here.until - here.after if here.until < here.feed else 0

    def _begin(self) -> _Pass:
        cursor, verdict, stores, waiting, refused = database.run(
            self._using,
            Statement(WHERE_WE_ARE, (CURSOR, AUDIT)),
            Statement(EVIDENCE, (VERDICT,)),
            stores_read(KIND),
            first_waiting(KIND),
            Statement(STALE_WRITES_REFUSED),
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
            stale_writes_refused=refused.rows[0][0],
        )

    def _events(self, here: _Pass) -> list[Event]:
        statement = Statement(EVENTS, (here.after, here.until))
        return [event_of(row) for row in database.run(self._using, statement)[0].rows]

    def _watches(self, events: Sequence[Event]) -> dict[str, Watch]:
        keys = sorted({event.name for event in events})
        watches = {key: Watch(key) for key in keys}
        if keys:
            statement = Statement(WATCHES, (keys,))
            for key, version, state in database.run(self._using, statement)[0].rows:
                said = json.loads(state) if isinstance(state, str) else state
                watches[key] = Watch.from_json(key, version, said)
        return watches

    def _judge(self, events: Sequence[Event]) -> _Judged:
        watches = self._watches(events)
        counts, findings = Counts(), list[Finding]()
        for event in events:
            findings += judge(watches[event.name], event, counts)
        latest = events[-1].at if events else None
        return _Judged(watches=watches, counts=counts, findings=findings, latest=latest)

    def _conclude(self, here: _Pass, judged: _Judged) -> None:
        watches, counts, findings = judged.watches, judged.counts, judged.findings
        evidence = _evidence(here, counts, findings)
        state, reason = _state(here, judged, evidence)
        since = moment(counts.last_grant_us) if counts.grants else None
        statements = [moved(AUDIT, before=here.after, after=here.until)]
        if watches:
            saved = [
                {"key": key, "version": watch.version, "state": watch.as_json()}
                for key, watch in sorted(watches.items())
            ]
            statements.append(Statement(SAVE_WATCHES, (json.dumps(saved),)))
        statements += record(VERDICT, list(map(_broken, findings[:FINDINGS_MAX])))
        values = (
            *(VERDICT, state.value, reason, here.checked + counts.grants, since, self._period_s),
            json.dumps(evidence),
        )
        run_fenced(self._using, *statements, Statement(CONCLUDE, values))


def _evidence(here: _Pass, counts: Counts, findings: Sequence[Finding]) -> dict[str, Any]:
    """What was judged since the beginning, this pass included."""
    fresh = asdict(counts)
    last_grant = moment(fresh.pop("last_grant_us")) if counts.grants else None
    known = here.evidence
    evidence: dict[str, Any] = {name: known.get(name, 0) + n for name, n in fresh.items()}
    lost = counts.gaps or here.lost
    evidence |= {
        "findings_left_out": known.get("findings_left_out", 0)
        + max(0, len(findings) - FINDINGS_MAX),
        "last_grant_at": last_grant.isoformat() if last_grant else known.get("last_grant_at"),
        "last_gap_at": here.now.isoformat() if lost else known.get("last_gap_at"),
        "stale_writes_refused": here.stale_writes_refused,
        "behind": here.feed - here.until,
        "unimported": here.left,
        "stores": dict(here.unread),
    }
    return evidence


def _state(here: _Pass, judged: _Judged, evidence: Mapping[str, Any]) -> tuple[VerdictState, str]:
    if here.unread:
        return VerdictState.UNPROVEN, "; ".join(sorted(here.unread.values()))
    waits = here.oldest is not None and here.now - here.oldest > BEHIND
    late = judged.latest is not None and here.now - judged.latest > BEHIND
    if waits or here.left > LEFT_MAX or (late and here.until < here.feed):
        return VerdictState.CHECKING, "events of locks have been recorded and not judged yet"
    if within(evidence["last_gap_at"], GAP_SHOWN, here.now):
        return VerdictState.UNPROVEN, f"events were lost until {evidence['last_gap_at']}"
    if evidence["last_grant_at"] is None:
        return VerdictState.UNPROVEN, "nothing has been granted yet"
    if not within(evidence["last_grant_at"], EVIDENCE_AGE, here.now):
        return VerdictState.UNPROVEN, f"nothing was granted since {evidence['last_grant_at']}"
    return VerdictState.HOLDS, ""


def _broken(finding: Finding) -> Broken:
    return Broken(
        subject=finding.key,
        place=min(finding.ordinal, PLACE_MAX),
        kind=finding.kind.value,
        sentence=finding.sentence,
        evidence=finding.evidence,
    )
