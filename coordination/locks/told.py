"""What one event adds to the histories beside the record: grants, refusals, deadlocks, and what an
operator did. Pure; rows are JSON values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from coordination.kernel.events import Event
from coordination.locks import projection
from coordination.locks.record import Holder, Record
from coordination.locks.types import State
from coordination.observing.projections import Step

GAVE_WAY = ("lock.gave_up", "lock.released")
"""The victim of a deadlock may have been handed it just then."""
YOUNGEST = "youngest"
ACTIONS = {"lock.forced": "force_release", "lock.revoke_asked": "request_revoke"}


def grants(step: Step) -> Iterator[dict[str, Any]]:
    """Rows of the grants that `step` began, renewed or ended."""
    before: Record | None = step.before
    after: Record = step.after
    held = before.holders if before is not None else ()
    if held == after.holders:
        return
    known = {each.token: each for each in held}
    standing = {each.token for each in after.holders}
    for holder in held:
        if holder.token not in standing and holder.state == State.HELD:
            yield _grant(after.key, holder, step.event)
    for holder in after.holders:
        if holder.state == State.HELD and known.get(holder.token) is not holder:
            yield _grant(after.key, holder)


def _grant(key: str, holder: Holder, ending: Event | None = None) -> dict[str, Any]:
    """The row of a grant, with its end when `ending` ended it."""
    asked_at = None
    if holder.waited_ms is not None:
        asked_at = (holder.since - timedelta(milliseconds=holder.waited_ms)).isoformat()
    how = "" if ending is None else projection.ended(ending, holder)
    said = _said(ending) if ending is not None and how == projection.FORCED else {}
    return {
        "key": key,
        "request": holder.id,
        "token": holder.token,
        "mode": holder.mode,
        "owner": holder.owner,
        "context": holder.context,
        "asked_at": asked_at,
        "granted_at": holder.since.isoformat(),
        "until": holder.until.isoformat(),
        "renewals": holder.renewals,
        "ended_at": None if ending is None else ending.at.isoformat(),
        "ended": how,
        "actor": said.get("actor") or "",
        "reason": said.get("reason") or "",
    }


def refusals(step: Step) -> Iterator[dict[str, Any]]:
    """The row of a release that was refused."""
    event, after = step.event, step.after
    if event.kind != "lock.release_refused":
        return
    id_ = event.data.get("id")
    former = next((each for each in reversed(after.former) if each.id == id_), None)
    token = former.token if former is not None else int(event.data.get("token") or 0)
    yield {
        "key": event.name,
        "at": event.at.isoformat(),
        "what": "release",
        "token": token,
        "newer": after.token if after.token > token > 0 else None,
        "owner": former.owner if former is not None else "",
    }


def deadlocks(step: Step) -> Iterator[dict[str, Any]]:
    """The row of a cycle of waits that somebody gave way because of."""
    found = step.event.data.get("deadlock")
    if step.event.kind not in GAVE_WAY or not isinstance(found, Mapping):
        return
    before: Record | None = step.before
    id_ = step.event.data.get("id", "")
    victim = None if before is None else before.waiter(id_) or before.holder(id_)
    yield {
        "at": step.event.at.isoformat(),
        "cycle": found.get("cycle") or [],
        "victim": victim.context if victim is not None else "",
        "rule": found.get("rule") or YOUNGEST,
    }


def intervention(step: Step) -> dict[str, Any] | None:
    """The row of what an operator did; one for all holders it befell."""
    event = step.event
    said = _said(event)
    actor = said.get("actor") or event.actor
    if event.kind not in ACTIONS or not actor or _befell_another(step):
        return None
    return {
        "event_id": step.event_id,
        "at": event.at.isoformat(),
        "actor": actor,
        "action": ACTIONS[event.kind],
        "object": event.object,
        "name": event.name,
        "reason": said.get("reason") or "",
    }


def _said(event: Event) -> Mapping[str, Any]:
    said = event.data.get("said", event.data)
    return said if isinstance(said, Mapping) else {}


def _befell_another(step: Step) -> bool:
    """Whether the same call told of another holder just before."""
    before: Record | None = step.before
    if before is None:
        return False
    if step.event.kind == "lock.forced":
        return (before.last_end, before.changed_at) == (projection.FORCED, step.event.at)
    asked: Record = step.after
    mine = asked.holder(step.event.data.get("id", ""))
    return mine is not None and any(
        each.id != mine.id and each.revoked_at == mine.revoked_at for each in before.holders
    )
