"""Queues as the observer would have recorded them: rows of the read models."""

import math
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from coordination.observing.records import Intervention, Verdict, Violation
from coordination.queues.records import MessageRecord, QueueBucket, QueueRecord
from coordination.queues.sweeps.tables import QueueSweep, SweepState, Verb
from dashboard.queue_rows import BUCKET_MS, TOTALS
from tests.integration.dashboard_web import make_user

OPERATOR = ("resolve_transaction", "change_queuerecord", "delete_queuerecord")
LOOK = ("view_queuerecord", "view_messagerecord", "view_queuesweep")


@pytest.fixture
def emptied(db: None) -> Iterator[None]:
    """For modules with `_django_db_helper`, which leaves these rows: nothing of a test stays."""
    yield
    for model in (MessageRecord, QueueBucket, QueueRecord, Verdict, Violation, Intervention, User):
        model.objects.all().delete()


def now() -> datetime:
    return datetime.now(UTC)


def ago(seconds: float) -> datetime:
    return now() - timedelta(seconds=seconds)


def queue_operator(name: str = "quinn") -> Any:
    """Somebody who may pause queues and throw messages away."""
    return make_user(name, "view_transactionrecord", *OPERATOR, *LOOK, is_staff=True)


def record(name: str, *, store: str = "redis", **fields: Any) -> QueueRecord:
    """A queue that was sampled just now, and whose balance adds up unless `off` says by how much.

    `counts=False` for a store without totals, `oldest_s` since when its first ready one waits.
    """
    counts, off = fields.pop("counts", True), fields.pop("off", 0)
    oldest_s = fields.pop("oldest_s", None)
    here = sum(fields.get(word, 0) for word in ("ready", "delayed", "in_flight"))
    totals: dict[str, Any] = dict.fromkeys(TOTALS, 0 if counts else None)
    if counts:
        acked, died = fields.get("acked", 9_604), fields.get("died", fields.get("dead", 0))
        came = acked + died + here + off - fields.get("redriven", 0)
        totals |= {"acked": acked, "died": died, "published": came, "delivered": acked + died}
    values: dict[str, Any] = {
        "key": f"{store} {name}",
        "store": store,
        "name": name,
        "sampled_at": now(),
        "seen_at": now(),
        "oldest_at": None if oldest_s is None else ago(oldest_s),
        "dead_letter": "" if name.endswith(".dlq") else f"{name}.dlq",
        "options": {"visibility_ms": 30_000, "max_attempts": 5},
        "event_at": ago(0.4),
        "events": 1_000,
    }
    made = QueueRecord(**values | totals | fields)
    made.save()
    return made


def again(row: QueueRecord, **fields: Any) -> QueueRecord:
    """The same queue, sampled again."""
    for word, value in ({"seen_at": now(), "sampled_at": now()} | fields).items():
        setattr(row, word, value)
    row.save()
    return row


def flow(row: QueueRecord, *, came: float, acked: float, buckets: int = 60) -> None:
    """Its rates over the last minutes, messages a second, that wave a little."""
    end_ms = int(now().timestamp() * 1000) // BUCKET_MS * BUCKET_MS

    def wave(rate: float, i: int, phase: float) -> int:
        return round(rate * 10 * (1 + 0.16 * math.sin(i * 0.9 + phase) + 0.1 * math.sin(i * 2.3)))

    QueueBucket.objects.bulk_create(
        QueueBucket(
            key=row.key,
            start=datetime.fromtimestamp((end_ms - i * BUCKET_MS) / 1000, UTC),
            published=wave(came, i, 0.4),
            delivered=wave(acked, i, 0),
            acked=wave(acked, i, 0),
            died=0,
            expired=0,
            lapsed=0,
            ready=max(0, row.ready + round(row.ready * 0.12 * math.sin(i * 0.7))),
            delayed=row.delayed,
            in_flight=max(0, row.in_flight + round(3 * math.sin(i))),
        )
        for i in range(buckets + 1)
    )


def message(row: QueueRecord, state: str, **fields: Any) -> MessageRecord:
    """A message of its history, one event old."""
    came_s = fields.pop("ago_s", 30.0)
    values: dict[str, Any] = {
        "key": row.key,
        "message": secrets.token_hex(8),
        "state": state,
        "published_at": ago(came_s),
        "changed_at": ago(came_s / 2),
        "event_id": 1,
        "life": [step("published", ago_s=came_s)],
    }
    return MessageRecord.objects.create(**values | fields)


def step(kind: str, *, ago_s: float, **fields: Any) -> dict[str, Any]:
    """One event of a life."""
    told = {"event": 1, "at": ago(ago_s).isoformat(), "kind": kind, "node": "orders", "op": "a1"}
    return told | fields


def in_flight(row: QueueRecord, *, left_s: float, **fields: Any) -> MessageRecord:
    """One that somebody has."""
    taken_s = fields.pop("taken_s", 30 - left_s)
    return message(
        row,
        "in_flight",
        **{
            "taken_at": ago(taken_s),
            "until": ago(-left_s),
            "taker": secrets.token_hex(10),
            "node": "mailer",
            "attempts": 1,
        }
        | fields,
    )


def letter(row: QueueRecord, error: str, *, attempts: int = 5, ago_s: float = 60) -> str:
    """One of its dead letters; returns its id."""
    id_ = secrets.token_hex(8)
    told = [step("published", ago_s=ago_s + 90)]
    for attempt in range(1, attempts + 1):
        told.append(step("taken", ago_s=ago_s + 90 - 15 * attempt, attempt=attempt))
        if attempt < attempts:
            told.append(step("retried", ago_s=ago_s + 88 - 15 * attempt, error=error))
    message(
        row,
        "dead",
        message=id_,
        attempts=attempts,
        error=error,
        ago_s=ago_s + 90,
        ended_at=ago(ago_s),
        went_to=row.dead_letter,
        life=[*told, step("died", ago_s=ago_s, to=row.dead_letter, error=error)],
    )
    message(
        QueueRecord(key=f"{row.store} {row.dead_letter}"),
        "waiting",
        message=id_,
        source=row.name,
        error=error,
        ago_s=ago_s,
        life=[step("buried", ago_s=ago_s, source=row.name)],
    )
    return id_


def sweep(
    row: QueueRecord, verb: Verb, state: SweepState, *, done: int, at_most: int, **fields: Any
) -> QueueSweep:
    """One that somebody ordered."""
    ended = None if state is SweepState.RUNNING else ago(5)
    values: dict[str, Any] = {
        "op": secrets.token_hex(8),
        "verb": verb,
        "store": row.store,
        "queue": row.name,
        "at_most": at_most,
        "done": done,
        "steps": 1,
        "state": state,
        "actor": "m.keller",
        "reason": "the address book was empty, OPS-4410",
        "began_at": ago(20),
        "stepped_at": ago(1),
        "ended_at": ended,
    }
    return QueueSweep.objects.create(**values | fields)
