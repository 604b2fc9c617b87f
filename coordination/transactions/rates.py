"""Pure roll-ups: what each event adds to its bucket of time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from coordination.kernel.events import Event
from coordination.transactions.projection import Record

BUCKET_S = 5


@dataclass(slots=True, kw_only=True)
class Bucket:
    """Counts and times of one bucket; `decide` is begun to decided, `window` decided to ended."""

    begun: int = 0
    committed: int = 0
    aborted: int = 0
    ended: int = 0
    decide_ms_sum: int = 0
    decide_ms_max: int = 0
    window_ms_sum: int = 0
    window_ms_max: int = 0


def bucket_of(at: datetime) -> datetime:
    """The start of the bucket that holds `at`."""
    second = int(at.timestamp())
    return datetime.fromtimestamp(second - second % BUCKET_S, tz=UTC)


def count(facts: Iterable[tuple[Event, Record]]) -> dict[datetime, Bucket]:
    """Sum events, each with its record after it, into their buckets."""
    buckets: dict[datetime, Bucket] = {}
    for event, record in facts:
        if event.kind in _COUNTS:
            _COUNTS[event.kind](buckets.setdefault(bucket_of(event.at), Bucket()), record)
    return buckets


def _begun(bucket: Bucket, _record: Record) -> None:
    bucket.begun += 1


def _decided(bucket: Bucket, record: Record) -> None:
    if record.outcome == "committed":
        bucket.committed += 1
    else:
        bucket.aborted += 1
    took_ms = _between_ms(record.begun_at, record.decided_at)
    bucket.decide_ms_sum += took_ms
    bucket.decide_ms_max = max(bucket.decide_ms_max, took_ms)


def _ended(bucket: Bucket, record: Record) -> None:
    bucket.ended += 1
    took_ms = _between_ms(record.decided_at, record.ended_at)
    bucket.window_ms_sum += took_ms
    bucket.window_ms_max = max(bucket.window_ms_max, took_ms)


_COUNTS = {
    "transaction.begun": _begun,
    "transaction.decided": _decided,
    "transaction.ended": _ended,
}


def _between_ms(start: datetime | None, end: datetime | None) -> int:
    if start is None or end is None:
        return 0
    return max(0, round((end - start).total_seconds() * 1000))
