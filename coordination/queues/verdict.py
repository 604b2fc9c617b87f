"""What can be said of the queue balance, given what was judged and what was not. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from coordination.observing.types import VerdictState

BEHIND: Final = timedelta(seconds=5)
UNREAD_S: Final = 5.0
LEFT_MAX: Final = 2_000
"""So many events still to be imported are no more than the work of a moment."""
GAP_SHOWN: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far the auditor sees."""

    now: datetime
    unread: Mapping[str, str]
    """Store → why its events or its queues are not seen, as they should be."""
    waits_since: datetime | None
    """Of the first event that has no place in the feed yet; null: there is none."""
    left: int
    """Events that an importer has still to copy."""
    latest: datetime | None
    """Of the last event that was judged just now."""
    behind: int
    """Events of all kinds that are still to be looked at."""
    to_count: int
    """Queues that were not counted since this auditor began."""
    too_many: Sequence[str]
    """Queues that hold too many blocks of messages to be counted in one step."""
    published: int
    """Messages that were ever published, to all queues that were counted."""


def unread(
    copied: Sequence[str], stores: Mapping[str, tuple[int, float]], uncountable: Mapping[str, str]
) -> dict[str, str]:
    """Why stores are not seen.

    Args:
        copied: those whose events an importer has to bring.
        stores: what an importer said of each: events left, seconds since it was read.
        uncountable: store → why its queues could not be counted.
    """
    found = {}
    for alias in copied:
        _, age_s = stores.get(alias, (0, None))
        if age_s is None:
            found[alias] = f"events of {alias} were never read"
        elif age_s > UNREAD_S:
            found[alias] = f"events of {alias} were last read {age_s:.0f} s ago"
    return found | dict(uncountable)


def state_of(standing: Standing, evidence: Mapping[str, Any]) -> tuple[VerdictState, str]:
    """The state of the verdict where nothing is broken, and why it is not HOLDS."""
    if standing.unread:
        return VerdictState.UNPROVEN, "; ".join(sorted(standing.unread.values()))
    since = standing.waits_since
    waits = since is not None and standing.now - since > BEHIND
    late = standing.latest is not None and standing.now - standing.latest > BEHIND
    if waits or standing.left > LEFT_MAX or (late and standing.behind):
        return VerdictState.CHECKING, "events of queues have been recorded and not judged yet"
    if standing.to_count:
        return VerdictState.CHECKING, f"{standing.to_count} queues are still to be counted"
    if standing.too_many:
        names = ", ".join(standing.too_many[:3])
        return VerdictState.UNPROVEN, f"too many messages to be counted in one step: {names}"
    gap_at = evidence.get("last_gap_at")
    if gap_at is not None and standing.now - datetime.fromisoformat(gap_at) <= GAP_SHOWN:
        return VerdictState.UNPROVEN, f"events of queues were lost until {gap_at}"
    if not standing.published:
        return VerdictState.UNPROVEN, "no message has been published yet"
    return VerdictState.HOLDS, ""
