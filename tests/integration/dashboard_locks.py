"""Locks as the observer would have recorded them: rows of the read models, and the feed's word."""

import json
import secrets
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from coordination import conf, registry
from coordination.kernel.events import Event as Fact
from coordination.locks.records import LockGrant, LockRecord
from coordination.observing.feed import Feed, encode
from coordination.observing.tables import Cursor, Event
from tests.integration.dashboard_stories import observe
from tests.integration.dashboard_web import make_user

OPERATOR = ("resolve_transaction", "change_lockrecord", "delete_lockrecord")


def now() -> datetime:
    return datetime.now(UTC)


def lock_operator(name: str = "lotte") -> Any:
    """Somebody who may ask for locks back and take them away."""
    return make_user(name, "view_transactionrecord", *OPERATOR, "view_lockrecord", is_staff=True)


def claim(owner: str, **fields: Any) -> dict[str, Any]:
    """One who holds or waits; `ago_s` and `left_s` say since when and how long still."""
    ago_s, left_s = fields.pop("ago_s", 3.0), fields.pop("left_s", 27.0)
    at = now()
    made = {
        "id": secrets.token_hex(12),
        "mode": "exclusive",
        "limit": 1,
        "state": "held",
        "owner": owner,
        "context": f"thread:{owner}:1",
        "node": "web",
        "metadata": {},
        "token": None,
        "since": (at - timedelta(seconds=ago_s)).isoformat(),
        "until": (at + timedelta(seconds=left_s)).isoformat(),
        "renewed_at": None,
        "renewals": 0,
        "waited_ms": None,
        "revoked_at": None,
        "revoke_reason": "",
    }
    return made | fields


def held(owner: str, token: int, **fields: Any) -> dict[str, Any]:
    """A holder."""
    return claim(owner, token=token, **fields)


def queued(owner: str, **fields: Any) -> dict[str, Any]:
    """A waiter."""
    return claim(owner, state="waiting", **fields)


def record(
    name: str,
    *,
    holders: Sequence[dict[str, Any]] = (),
    waiters: Sequence[dict[str, Any]] = (),
    store: str = "redis",
    kind: str = "lock",
    **fields: Any,
) -> LockRecord:
    """An unsaved record."""
    ends = [each["until"] for each in holders]
    tokens = [each["token"] for each in holders]
    values: dict[str, Any] = {
        "key": f"{store} {kind} {name}",
        "store": store,
        "kind": kind,
        "name": name,
        "feed_seq": 0,
        "version": 1,
        "holders": list(holders),
        "waiters": list(waiters),
        "holding": len(holders),
        "waiting": len(waiters),
        "owner": holders[0]["owner"] if holders else "",
        "token": max(tokens, default=1_795_435_000_000_000),
        "until": max(ends, default=None),
        "waiting_since": min((each["since"] for each in waiters), default=None),
        "last_end": "released",
        "changed_at": now().isoformat(),
        "hold_ms_p95": 84,
        "disputed": "",
        "gap": False,
    }
    return LockRecord(**values | fields)


def save(*records: LockRecord) -> None:
    """Put them where the observer would, whatever stood there."""
    LockRecord.objects.bulk_create(
        records,
        update_conflicts=True,
        unique_fields=["key"],
        update_fields=[
            field.attname for field in LockRecord._meta.concrete_fields if field.attname != "key"
        ],
    )


def grant(lock: LockRecord, token: int, owner: str, *, ago_s: float, **fields: Any) -> LockGrant:
    """One grant of its history."""
    granted = now() - timedelta(seconds=ago_s)
    values: dict[str, Any] = {
        "key": lock.key,
        "request": secrets.token_hex(12),
        "token": token,
        "mode": "exclusive",
        "owner": owner,
        "context": f"thread:{owner}:1",
        "granted_at": granted,
        "until": granted + timedelta(seconds=30),
    }
    return LockGrant.objects.create(**values | fields)


class Teller:
    """An observer of locks, as far as pages can tell: it moves records, cursor and feed on."""

    def __init__(self) -> None:
        observe()
        mailbox = conf.current().transactions.mailbox
        assert mailbox is not None
        self._feed = Feed(registry.redis_store(mailbox), conf.current().node)
        self._cursor = Cursor.objects.get()
        self._turn = threading.Lock()

    def tell(self, *records: LockRecord, kind: str = "lock.granted") -> None:
        """Each record is what one event made of its lock. Threads take turns."""
        with self._turn:
            self._tell(records, kind)

    def _tell(self, records: Sequence[LockRecord], kind: str) -> None:
        cursor = self._cursor
        first = cursor.seq + 1
        facts = []
        for seq, each in enumerate(records, first):
            each.feed_seq = seq
            facts.append(
                Fact(
                    kind=kind,
                    object="lock",
                    name=each.key,
                    version=each.version,
                    at=now(),
                    node="web",
                    data={"who": {"owner": each.owner}},
                )
            )
        save(*records)
        Event.objects.bulk_create(
            [
                Event(seq=seq, **{**fact.as_json(), "at": fact.at})
                for seq, fact in enumerate(facts, first)
            ]
        )
        cursor.seq += len(records)
        cursor.save(update_fields=["seq"])
        messages = [
            encode(seq, fact, epoch=cursor.epoch, row=wire(each))
            for seq, fact, each in zip(range(first, cursor.seq + 1), facts, records, strict=True)
        ]
        for at in range(0, len(messages), 200):
            self._feed.append(messages[at : at + 200], epoch=cursor.epoch)


def wire(lock: LockRecord) -> dict[str, Any]:
    """The record as the feed carries it."""
    row = {field.attname: getattr(lock, field.attname) for field in lock._meta.concrete_fields}
    return dict(json.loads(json.dumps(row, default=datetime.isoformat)))


def again(lock: LockRecord, **fields: Any) -> LockRecord:
    """The same lock one version later."""
    row = {field.attname: getattr(lock, field.attname) for field in lock._meta.concrete_fields}
    return LockRecord(**row | {"version": lock.version + 1} | fields)
