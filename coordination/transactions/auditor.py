"""The live auditor of atomicity: judges every ended transaction once and keeps the verdict.

Any number may run; a transaction is counted by the one that marks it. The verdict says HOLDS only
on evidence: a database that does not answer makes it UNPROVEN, and so does time (see `Verdict`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.kernel.gids import parse_branch_gid
from coordination.observing.findings import Broken, record
from coordination.observing.types import VerdictState
from coordination.transactions import ended
from coordination.transactions.examination import LEFT_PREPARED_S, Examination, Examiner
from coordination.transactions.judging import Finding, ViolationKind
from coordination.transactions.proofs import Prepared

VERDICT = "atomicity"
PERIOD_S = 1.0
BATCH_MAX = 200
BEHIND_S = 5
"""An audit that finds transactions that ended longer ago than this is catching up."""
DEAD_RETRY_S = 3.0
IN_DOUBT_AGE_S = 60
IN_DOUBT_SHOWN_MAX = 20

RECENT_DATABASES = """
SELECT DISTINCT b."using" FROM concord_branch b WHERE b.node = %s AND b.transaction_id IN (
    SELECT gid FROM concord_transaction ORDER BY created_at DESC LIMIT 1000)
"""
# What the register says of prepared branches; ages by this database's clock.
PREPARED_ROWS = """
SELECT x.branch_gid, t.gid IS NOT NULL, t.outcome,
    extract(epoch FROM clock_timestamp() - x.at)::float8,
    extract(epoch FROM clock_timestamp() - t.ended_at)::float8
FROM unnest(%s::text[], %s::text[], %s::timestamptz[]) AS x(branch_gid, gid, at)
LEFT JOIN concord_transaction t ON t.gid = x.gid
"""

# Mark transactions as audited and count them. Each is counted by whoever marks it; those that
# another auditor is marking just now are left to it.
CONCLUDE = """
WITH given (gids, name, state, reason, period_s, unseen, evidence) AS (
    VALUES (%s::text[], %s, %s, %s, %s::float8, %s::bigint, %s::jsonb)
), mine AS (
    SELECT t.gid FROM concord_transaction t
    WHERE t.gid = ANY((SELECT gids FROM given)::text[])
        AND t.ended_at IS NOT NULL AND t.audited_at IS NULL
    ORDER BY t.gid FOR NO KEY UPDATE SKIP LOCKED
), marked AS (
    UPDATE concord_transaction t SET audited_at = clock_timestamp()
    FROM mine WHERE t.gid = mine.gid RETURNING t.ended_at
), fresh AS (
    SELECT count(*) AS audited, min(ended_at) AS since FROM marked
), waiting AS (
    SELECT count(*) AS ended FROM concord_transaction
    WHERE ended_at IS NOT NULL AND audited_at IS NULL
), standing AS (
    SELECT count(*) FILTER (WHERE acknowledged_at IS NULL) AS violations,
        count(acknowledged_at) AS acknowledged
    FROM concord_violation, given WHERE verdict = given.name
)
INSERT INTO concord_verdict AS v (name, state, reason, checked, violations, acknowledged,
    window_start, checked_at, period_s, evidence)
SELECT name, state, reason, audited, violations, acknowledged, since, clock_timestamp(), period_s,
    evidence || jsonb_build_object(
        'unaudited', waiting.ended - audited, 'unseen_branches', unseen)
FROM given, fresh, waiting, standing
ON CONFLICT (name) DO UPDATE SET
    state = excluded.state, reason = excluded.reason, checked = v.checked + excluded.checked,
    violations = excluded.violations, acknowledged = excluded.acknowledged,
    window_start = coalesce(v.window_start, excluded.window_start),
    checked_at = excluded.checked_at, period_s = excluded.period_s,
    evidence = excluded.evidence || jsonb_build_object('unseen_branches',
        coalesce((v.evidence->>'unseen_branches')::bigint, 0)
        + (excluded.evidence->>'unseen_branches')::bigint)
"""
# No evidence, no green; and red whatever else is wrong.
SETTLE = """
UPDATE concord_verdict SET
    state = CASE WHEN violations > 0 THEN 'VIOLATED'
        WHEN state = 'HOLDS' AND checked = 0 THEN 'UNPROVEN' ELSE state END,
    reason = CASE WHEN state = 'HOLDS' AND checked = 0 AND violations = 0
        THEN 'nothing has ended yet' ELSE reason END
WHERE name = %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A prepared branch beside what its transaction's row says; ages in seconds."""

    branch_gid: str
    using: str
    known: bool
    outcome: str | None
    age_s: float
    ended_age_s: float | None


class Auditor:
    """Audits the transactions whose tables are in the database alias `using`, for `node`."""

    def __init__(self, using: str, *, node: str, period_s: float = PERIOD_S) -> None:
        self._using, self._node, self._period_s = using, node, period_s
        self._examiner = Examiner(node=node)
        self._databases: set[str] = set()
        # Why a database did not answer, and when it is asked again (monotonic seconds).
        self._dead: dict[str, tuple[str, float]] = {}

    def step(self) -> int:
        """One pass: judge a batch, mark it, keep the verdict; returns how many when it is behind.

        Raises what `database.run` raises for the coordinator's database.
        """
        if not self._databases:
            self._databases = self._known_databases()
        resting = self._resting()
        batch = ended.unaudited(
            self._using, node=self._node, without=sorted(resting), limit=BATCH_MAX
        )
        self._databases |= {
            branch.using
            for transaction in batch
            for branch in transaction.branches
            if self._examiner.visible(branch)
        }
        examination = self._examiner.examine(batch, also=self._databases - resting)
        self._remember_dead(examination)
        doubts = self._doubts(examination.prepared)
        full = len(batch) == BATCH_MAX
        behind = full and batch[0].ended_age_s > BEHIND_S
        self._conclude(examination, doubts, behind=behind)
        return len(batch) if full and examination.judged else 0

    def _known_databases(self) -> set[str]:
        rows = database.run(self._using, Statement(RECENT_DATABASES, (self._node,)))[0].rows
        return {row[0] for row in rows if row[0] in connections.databases}

    def _resting(self) -> set[str]:
        """Databases that did not answer and are not to be asked again yet."""
        now = time.monotonic()
        return {using for using, (_reason, again_at) in self._dead.items() if now < again_at}

    def _remember_dead(self, examination: Examination) -> None:
        for using in examination.asked:
            self._dead.pop(using, None)
        again_at = time.monotonic() + DEAD_RETRY_S
        self._dead |= {using: (why, again_at) for using, why in examination.dead.items()}

    def _doubts(self, prepared: Sequence[Prepared]) -> list[Doubt]:
        """Prepared branches that are old or nobody's, or whose transaction has ended."""
        ours = [
            (one, parsed[0]) for one in prepared if (parsed := parse_branch_gid(one.branch_gid))
        ]
        if not ours:
            return []
        statement = Statement(
            PREPARED_ROWS,
            (
                [one.branch_gid for one, _ in ours],
                [gid for _, gid in ours],
                [one.at for one, _ in ours],
            ),
        )
        where = {one.branch_gid: one.using for one, _ in ours}
        doubts = [
            Doubt(
                branch_gid=gid,
                using=where[gid],
                known=known,
                outcome=outcome,
                age_s=age_s,
                ended_age_s=ended_age_s,
            )
            for gid, known, outcome, age_s, ended_age_s in database.run(self._using, statement)[
                0
            ].rows
        ]
        return sorted(filter(_remarkable, doubts), key=lambda doubt: -doubt.age_s)

    def _conclude(self, examination: Examination, doubts: Sequence[Doubt], *, behind: bool) -> None:
        broken = [*map(_broken, examination.findings), *map(_left_prepared, filter(_left, doubts))]
        state, reason = self._state(behind=behind)
        values = (
            [transaction.gid for transaction in examination.judged],
            VERDICT,
            state.value,
            reason,
            self._period_s,
            examination.unseen_branches,
            json.dumps(self._evidence(examination, doubts)),
        )
        database.run(
            self._using,
            *record(VERDICT, broken),
            Statement(CONCLUDE, values),
            Statement(SETTLE, (VERDICT,)),
        )

    def _state(self, *, behind: bool) -> tuple[VerdictState, str]:
        if self._dead:
            reasons = [why for why, _again_at in self._dead.values()]
            return VerdictState.UNPROVEN, "cannot see " + "; ".join(sorted(reasons))
        if behind:
            return VerdictState.CHECKING, f"ended more than {BEHIND_S} s ago and not audited yet"
        return VerdictState.HOLDS, ""

    def _evidence(self, examination: Examination, doubts: Sequence[Doubt]) -> dict[str, Any]:
        prepared: dict[str, int] = dict.fromkeys(self._databases, 0)
        for branch in examination.prepared:
            prepared[branch.using] = prepared.get(branch.using, 0) + 1
        return {
            "databases": {
                using: {
                    "seen": using not in self._dead,
                    "reason": self._dead[using][0] if using in self._dead else "",
                    "prepared": count,
                }
                for using, count in sorted(prepared.items())
            },
            "in_doubt_total": len(doubts),
            "in_doubt": [_shown(doubt) for doubt in doubts[:IN_DOUBT_SHOWN_MAX]],
        }


def _remarkable(doubt: Doubt) -> bool:
    return doubt.age_s > IN_DOUBT_AGE_S or not doubt.known or _left(doubt)


def _left(doubt: Doubt) -> bool:
    return doubt.ended_age_s is not None and doubt.ended_age_s > LEFT_PREPARED_S


def _shown(doubt: Doubt) -> dict[str, Any]:
    return {
        "branch_gid": doubt.branch_gid,
        "database": doubt.using,
        "age_s": round(doubt.age_s, 1),
        "transaction": (doubt.outcome or "undecided") if doubt.known else "unknown",
        "ended": doubt.ended_age_s is not None,
    }


def _left_prepared(doubt: Doubt) -> Broken:
    parsed = parse_branch_gid(doubt.branch_gid)
    assert parsed is not None
    gid, seq = parsed
    return Broken(
        subject=gid,
        place=seq,
        kind=ViolationKind.LEFT_PREPARED.value,
        sentence=f"branch {seq} is prepared on {doubt.using} long after the end",
        evidence=_shown(doubt),
    )


def _broken(finding: Finding) -> Broken:
    return Broken(
        subject=finding.gid,
        place=finding.seq,
        kind=finding.kind.value,
        sentence=finding.sentence,
        evidence=finding.evidence,
    )
