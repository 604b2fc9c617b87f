"""Judges the recorded history of all queues again, and counts each of them; keeps nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.exceptions import CoordinationError
from coordination.observing.event_rows import EVENT_COLUMNS, event_of
from coordination.queues.events import key_of, key_of_event
from coordination.queues.judging import Counts, Finding, Watch, judge, weigh
from coordination.queues.stores.counting import Counter

PAGE: Final = 2_000
# In the order of the feed, which is that of causes; the names of events do not tell it.
EVENTS: Final = f"""
SELECT seq, {EVENT_COLUMNS} FROM concord_event
WHERE object = 'queue' AND seq > %s ORDER BY seq LIMIT %s
"""  # noqa: S608


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejudged:
    """What all events that are kept come to, and the queues as they are now."""

    counts: Counts
    queues: int
    messages: int
    """That were ever published to those queues."""
    findings: Sequence[Finding]
    uncounted: Sequence[str]
    """Queues, and stores, that could not be counted, and why."""

    def as_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self.counts) | {
            "queues": self.queues,
            "messages": self.messages,
            "uncounted": list(self.uncounted),
            "findings": [
                {
                    "key": each.key,
                    "kind": each.kind.value,
                    "sentence": each.sentence,
                    "evidence": dict(each.evidence),
                }
                for each in self.findings
            ],
        }


def rejudge(using: str, counters: Sequence[Counter]) -> Rejudged:
    """Judge every event of queues that has its place in the feed, and count what `counters` can."""
    counts, findings, watches = Counts(), list[Finding](), dict[str, Watch]()
    after = 0
    while rows := database.run(using, Statement(EVENTS, (after, PAGE)))[0].rows:
        for row in rows:
            event = event_of(row)
            key = key_of_event(event.name)
            findings += judge(watches.setdefault(key, Watch(key)), event, counts)
        after = rows[-1][0]
    queues, messages, uncounted = 0, 0, list[str]()
    for counter in counters:
        try:
            for name in counter.names():
                census = counter.count(name)
                key = key_of(counter.alias, name)
                findings += weigh(watches.setdefault(key, Watch(key)), census, [])
                queues, messages = queues + 1, messages + census.totals.published
                if not census.counted:
                    uncounted.append(f"{key}: it holds too many blocks of messages")
        except CoordinationError as error:
            uncounted.append(f"{counter.alias}: {error}")
    return Rejudged(
        counts=counts, queues=queues, messages=messages, findings=findings, uncounted=uncounted
    )
