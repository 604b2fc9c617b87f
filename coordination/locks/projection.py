"""Pure fold of a resource's events into its record. No Django, no clock.

`apply` takes events in version order. A version it has folded already changes nothing. A history
may begin with any version, as nobody's: old events are pruned. What cannot follow from what is
known (somebody gives back who had nothing, a version or an era is skipped) marks the record with
`gap`, until a snapshot of the store (`lock.resynced`) or a grant that proves to be the only one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from coordination.kernel.events import Event
from coordination.locks.record import Former, Holder, Record, Waiter
from coordination.locks.types import Mode, State, moment

OBJECT = "lock"
"""What events of every kind of resource are about; their `name` is the key of its record."""
RESYNCED = "lock.resynced"
"""The whole state of a resource, where its events are missing."""

HELD_KEPT = 50
"""Of how many grants the 95th percentile is."""
FORMER_KEPT = 8

RELEASED, EXPIRED, FORCED, UNSEEN = "released", "expired", "forced", "unseen"
_ENDINGS = {"lock.released": RELEASED, "lock.expired": EXPIRED, "lock.forced": FORCED}
_UNCHANGED = ("lock.renewed", "lock.release_refused")


def key_of(store: str, kind: str, name: str) -> str:
    """The key of a resource's record, and the name of its events."""
    return f"{store} {kind} {name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """An event with what all events of locks say."""

    at: datetime
    kind: str
    id: str
    token: int
    data: Mapping[str, Any]


def apply(record: Record | None, event: Event, seq: int = 0) -> Record:
    """The record after `event`, given the record before it (`None`: nothing was known).

    `seq` is the event's place in the feed, 0 when it has none.
    """
    before = record or Record(
        key=event.name, changed_at=event.at, version=event.version - 1, era=_era(event)
    )
    feed_seq = max(seq, before.feed_seq)
    if event.version <= before.version:
        return replace(before, feed_seq=feed_seq)
    skipped = event.version > before.version + 1 or _era(event) != before.era
    known = replace(before, gap=True) if skipped else before
    try:
        after = _FOLDS.get(event.kind, _nothing)(known, _fact(event))
    except (KeyError, TypeError, ValueError, OverflowError):
        after = replace(known, gap=True)
    return replace(
        after,
        version=event.version,
        feed_seq=feed_seq,
        era=_era(event),
        changed_at=before.changed_at if event.kind in _UNCHANGED else _changed_at(event),
    )


def fold(events: Iterable[Event], record: Record | None = None) -> Record | None:
    """`apply` over events in version order."""
    for event in events:
        record = apply(record, event)
    return record


def ended(event: Event, holder: Holder) -> str:
    """How `holder`'s grant ended, given the event with which it was no longer there."""
    if event.kind in _ENDINGS and event.data.get("id") == holder.id:
        return _ENDINGS[event.kind]
    return EXPIRED if holder.until <= event.at else UNSEEN


def _era(event: Event) -> int:
    era = event.data.get("era", 0)
    return era if isinstance(era, int) else 0


def _changed_at(event: Event) -> datetime:
    said = event.data.get("changed_at")
    return datetime.fromisoformat(said) if isinstance(said, str) else event.at


def _fact(event: Event) -> Fact:
    data = event.data
    return Fact(
        at=event.at,
        kind=event.kind,
        id=data.get("id") or "",
        token=int(data.get("token") or 0),
        data=data,
    )


def _nothing(record: Record, _fact: Fact) -> Record:
    return record


def _who(fact: Fact) -> dict[str, Any]:
    said = fact.data.get("who", fact.data)
    return {
        "id": fact.id,
        "mode": fact.data["mode"],
        "limit": fact.data.get("limit", 1),
        "owner": said["owner"],
        "context": said.get("context", ""),
        "node": said.get("node", ""),
        "metadata": said.get("metadata") or {},
    }


def _waiting(record: Record, fact: Fact) -> Record:
    waiter = Waiter(since=fact.at, **_who(fact))
    others = record.without_waiter(fact.id)
    return replace(others, waiters=(*others.waiters, waiter))


def _handed(record: Record, fact: Fact) -> Record:
    return _given(record, fact, State.HANDED)


def _granted(record: Record, fact: Fact) -> Record:
    return _given(record, fact, State.HELD)


def _given(record: Record, fact: Fact, state: State) -> Record:
    claim, waiter = record.holder(fact.id), record.waiter(fact.id)
    asked_at: datetime | None = fact.at
    if claim is not None:
        waited_ms = claim.waited_ms
        asked_at = None if waited_ms is None else claim.since - timedelta(milliseconds=waited_ms)
    elif waiter is not None:
        asked_at = waiter.since
    elif state is State.HANDED:
        asked_at = None  # It waited, and nobody saw it.
    holder = Holder(
        **_who(fact),
        state=state.value,
        token=fact.token,
        since=fact.at,
        until=moment(fact.data["until"]),
        waited_ms=None if asked_at is None else _between_ms(asked_at, fact.at),
    )
    if record.gap and holder.mode == Mode.EXCLUSIVE:
        # Whoever was known to have it cannot, any more.
        record = _gone(record, [each for each in record.holders if each.id != fact.id], fact)
        if claim is None and waiter is None and state is State.HELD:
            # Nobody gets in between: had anybody waited, it would have been handed on.
            record = replace(record, waiters=(), gap=False)
    given = record.without_waiter(fact.id).with_holder(holder)
    return replace(given, token=max(record.token, fact.token))


def _renewed(record: Record, fact: Fact) -> Record:
    holder = record.holder(fact.id)
    if holder is None:
        return replace(record, gap=True)
    return record.with_holder(
        replace(
            holder,
            until=moment(fact.data["until"]),
            renewed_at=fact.at,
            renewals=holder.renewals + 1,
        )
    )


def _over(record: Record, fact: Fact) -> Record:
    holder = record.holder(fact.id)
    if holder is None:
        return replace(record, gap=True)
    return _gone(record, [holder], fact, how=_ENDINGS[fact.kind])


def _gone(record: Record, gone: Iterable[Holder], fact: Fact, how: str = "") -> Record:
    """The record without some of its holders."""
    for holder in gone:
        record = replace(
            record, holders=tuple(each for each in record.holders if each is not holder)
        )
        if holder.state != State.HELD:
            continue  # It never was a grant.
        held_ms = _between_ms(holder.since, min(fact.at, holder.until))
        former = Former(id=holder.id, token=holder.token, owner=holder.owner)
        record = replace(
            record,
            last_end=how or (EXPIRED if holder.until <= fact.at else UNSEEN),
            held_ms=(*record.held_ms, held_ms)[-HELD_KEPT:],
            former=(*record.former, former)[-FORMER_KEPT:],
        )
    return record


def _gave_up(record: Record, fact: Fact) -> Record:
    holder = record.holder(fact.id)
    if holder is not None and holder.state == State.HANDED:
        # Whoever told it did not know that it had been handed on.
        record = _gone(record, [holder], fact)
    return record.without_waiter(fact.id)


def _revoke_asked(record: Record, fact: Fact) -> Record:
    holder = record.holder(fact.id)
    if holder is None:
        return replace(record, gap=True)
    said = fact.data.get("said", fact.data)
    return record.with_holder(
        replace(
            holder,
            revoked_at=moment(fact.data["at_latest"]),
            revoke_reason=said.get("reason") or "",
        )
    )


def _resynced(record: Record, fact: Fact) -> Record:
    told = {each["id"]: Holder.from_json(each) for each in fact.data["holders"]}
    gone = [each for each in record.holders if each.id not in told]
    left = _gone(record, gone, fact)
    return replace(
        left,
        last_end=fact.data.get("last_end", left.last_end),
        held_ms=tuple(fact.data.get("held_ms", left.held_ms)),
        former=tuple(Former(**each) for each in fact.data["former"])
        if "former" in fact.data
        else left.former,
        holders=tuple(_resumed(record.holder(each.id), each) for each in told.values()),
        waiters=tuple(map(Waiter.from_json, fact.data["waiters"])),
        token=max([record.token, fact.token, *(each.token for each in told.values())]),
        gap=bool(fact.data.get("gap")),
    )


def _resumed(known: Holder | None, told: Holder) -> Holder:
    """A holder as the store has it, with what its snapshot does not say."""
    if known is None or (known.token, known.state) != (told.token, told.state):
        return told
    return replace(
        told,
        renewed_at=told.renewed_at or known.renewed_at,
        renewals=max(told.renewals, known.renewals),
        waited_ms=known.waited_ms if told.waited_ms is None else told.waited_ms,
        revoke_reason=told.revoke_reason or known.revoke_reason,
    )


def _between_ms(start: datetime, end: datetime) -> int:
    # Whole ones: who waited must not seem to have asked before it did.
    return max(0, (end - start) // timedelta(milliseconds=1))


_FOLDS: dict[str, Callable[[Record, Fact], Record]] = {
    "lock.waiting": _waiting,
    "lock.handed": _handed,
    "lock.granted": _granted,
    "lock.renewed": _renewed,
    "lock.released": _over,
    "lock.expired": _over,
    "lock.forced": _over,
    "lock.gave_up": _gave_up,
    "lock.revoke_asked": _revoke_asked,
    RESYNCED: _resynced,
}
