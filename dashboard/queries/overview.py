"""What the overview shows: rates, doubt, what needs somebody, interventions, panels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db.models import QuerySet

from coordination.observing.records import Intervention
from coordination.transactions.records import RollUp, TransactionRecord
from dashboard import panels
from dashboard.addresses import address_of
from dashboard.limits import (
    ATTENTION_ROWS,
    COUNT_MAX,
    HISTORY_BUCKETS,
    IN_DOUBT_AFTER_MS,
    INTERVENTION_ROWS,
)
from dashboard.panels import Panel
from dashboard.promises import COUNTING, EXCLUSION, PROMISES
from dashboard.queries import queues, waits
from dashboard.queries.bounds import bounded
from dashboard.queries.transactions import PREPARED
from dashboard.queries.verdicts import (
    VerdictRow,
    ViolationRow,
    open_violations,
    verdicts,
    violations,
)
from dashboard.rows import TransactionRow, epoch_ms

BUCKET_MS: Final = 5_000
STUCK_AFTER: Final = timedelta(seconds=10)
HEURISTIC_FOR: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One bucket of five seconds: counts, and the milliseconds from begin to decision."""

    at_ms: int
    begun: int = 0
    committed: int = 0
    aborted: int = 0
    decide_ms_sum: int = 0
    decide_ms_max: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """One thing that needs somebody, or soon will."""

    kind: str
    """`violation`, `in_doubt`, `stuck` or `heuristic`."""
    object: str
    """`transaction`, `lock` or `counter`."""
    gid: str
    text: str
    since_ms: int

    @property
    def address(self) -> str:
        """The page of it."""
        return address_of(self.object, self.gid)


@dataclass(frozen=True, slots=True, kw_only=True)
class InterventionRow:
    """What somebody did by hand."""

    at_ms: int
    actor: str
    action: str
    object: str
    gid: str
    reason: str

    @property
    def address(self) -> str:
        """The page of what was acted on."""
        return address_of(self.object, self.gid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """How many transactions are prepared and undecided, and since when the oldest is."""

    count: int
    oldest_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything the overview shows beside the event list, as of `at_ms`."""

    at_ms: int
    verdicts: tuple[VerdictRow, ...]
    broken: int
    doubt: Doubt
    rates: tuple[Rate, ...]
    attention: tuple[Attention, ...]
    interventions: tuple[InterventionRow, ...]
    panels: tuple[Panel, ...]

    def wire(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "at": self.at_ms,
            "verdicts": [verdict.wire() for verdict in self.verdicts],
            "broken": self.broken,
            "doubt": asdict(self.doubt),
            "rates": [
                [r.at_ms, r.begun, r.committed, r.aborted, r.decide_ms_sum, r.decide_ms_max]
                for r in self.rates
            ],
            "attention": [asdict(item) for item in self.attention],
            "interventions": [asdict(row) for row in self.interventions],
            "panels": [panel.wire() for panel in self.panels],
        }


def read(now_ms: int) -> Overview:
    """Read it all; a handful of bounded queries."""
    now = _EPOCH + timedelta(milliseconds=now_ms)
    with bounded() as using:
        broken = tuple(
            row
            for name in PROMISES
            for row in violations(name, open_only=True, limit=ATTENTION_ROWS)
        )
        records = verdicts()
        found = TransactionRecord.objects.using(using)
        doubt = _doubt(found.all(), now)
        attention = _attention(found.all(), broken, now, now_ms)
        rates = _rates(using, now_ms)
        done = _interventions(using)
    return Overview(
        at_ms=now_ms,
        verdicts=records,
        broken=max(len(broken), sum(each.violations - each.acknowledged for each in records)),
        doubt=doubt,
        rates=rates,
        attention=attention,
        interventions=done,
        panels=panels.read(),
    )


def rail(now_ms: int) -> dict[str, int]:
    """The counts every page's navigation shows: what is in doubt, broken, disputed, deadlocked."""
    now = _EPOCH + timedelta(milliseconds=now_ms)
    with bounded() as using:
        doubt = _doubt(TransactionRecord.objects.using(using).all(), now)
        broken = open_violations()
        disputed = len(violations(EXCLUSION, open_only=True))
        miscounted = len(violations(COUNTING, open_only=True))
    return {
        "doubt": doubt.count,
        "broken": broken,
        "disputed": disputed,
        "miscounted": miscounted,
        "deadlocks": waits.deadlocked(),
        "queues": queues.attention(),
    }


def _in_doubt(records: QuerySet[TransactionRecord], now: datetime) -> QuerySet[TransactionRecord]:
    before = now - timedelta(milliseconds=IN_DOUBT_AFTER_MS)
    undecided = records.filter(ended_at__isnull=True, outcome__isnull=True)
    return undecided.filter(PREPARED, begun_at__lt=before).order_by("begun_at")


def _doubt(records: QuerySet[TransactionRecord], now: datetime) -> Doubt:
    found = _in_doubt(records, now)
    oldest = found.values_list("begun_at", flat=True).first()
    count = found[: COUNT_MAX + 1].count() if oldest is not None else 0
    return Doubt(count=count, oldest_ms=epoch_ms(oldest))


def _attention(
    records: QuerySet[TransactionRecord],
    broken: tuple[ViolationRow, ...],
    now: datetime,
    now_ms: int,
) -> tuple[Attention, ...]:
    items = [
        Attention(
            kind="violation",
            object=PROMISES[row.verdict].object,
            gid=row.gid,
            text=row.sentence,
            since_ms=row.found_ms,
        )
        for row in broken
    ]
    unfinished = records.filter(ended_at__isnull=True, begun_at__lt=now - timedelta(seconds=1))
    for row in _rows(unfinished.order_by("begun_at")):
        if row.state_at(now_ms) == "in_doubt":
            kind = "in_doubt"
        elif row.age_ms(now_ms) > STUCK_AFTER / timedelta(milliseconds=1):
            kind = "stuck"
        else:
            continue
        items.append(
            Attention(
                kind=kind,
                object="transaction",
                gid=row.gid,
                text=row.waits_for,
                since_ms=row.begun_ms,
            )
        )
    astray = records.exclude(heuristic="").filter(begun_at__gt=now - HEURISTIC_FOR)
    items += [
        Attention(
            kind="heuristic",
            object="transaction",
            gid=row.gid,
            text=row.waits_for,
            since_ms=row.ended_ms or row.begun_ms,
        )
        for row in _rows(astray.order_by("-begun_at"))
    ]
    return tuple(items[:ATTENTION_ROWS])


def _rows(found: QuerySet[TransactionRecord]) -> list[TransactionRow]:
    return [TransactionRow.read(vars(record)) for record in found[:ATTENTION_ROWS]]


def _rates(using: str, now_ms: int) -> tuple[Rate, ...]:
    """The last buckets that are over, oldest first; a bucket without a row counted nothing."""
    end_ms = now_ms // BUCKET_MS * BUCKET_MS
    start_ms = end_ms - HISTORY_BUCKETS * BUCKET_MS
    start = _EPOCH + timedelta(milliseconds=start_ms)
    found = {
        epoch_ms(row.bucket): row
        for row in RollUp.objects.using(using).filter(bucket__gte=start).order_by("bucket")
    }
    return tuple(_rate(at_ms, found.get(at_ms)) for at_ms in range(start_ms, end_ms, BUCKET_MS))


def _rate(at_ms: int, row: RollUp | None) -> Rate:
    if row is None:
        return Rate(at_ms=at_ms)
    return Rate(
        at_ms=at_ms,
        begun=row.begun,
        committed=row.committed,
        aborted=row.aborted,
        decide_ms_sum=row.decide_ms_sum,
        decide_ms_max=row.decide_ms_max,
    )


def _interventions(using: str) -> tuple[InterventionRow, ...]:
    found = Intervention.objects.using(using).order_by("-at")[:INTERVENTION_ROWS]
    return tuple(
        InterventionRow(
            at_ms=epoch_ms(row.at) or 0,
            actor=row.actor,
            action=row.action,
            object=row.object,
            gid=row.name,
            reason=row.reason,
        )
        for row in found
    )
