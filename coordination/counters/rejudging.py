"""Judges the recorded history of all counters again, from its beginning; keeps nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from coordination.counters.judging import Counts, Finding, Watch, judge
from coordination.counters.projection import OBJECT, era_of
from coordination.kernel.events import Event
from coordination.observing.journal import Journal

PAGE = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejudged:
    """What all events that are kept come to."""

    counts: Counts
    findings: Sequence[Finding]

    def as_json(self) -> dict[str, Any]:
        """As JSON values."""
        counts = asdict(self.counts)
        del counts["last_change_us"]
        return counts | {
            "findings": [
                {
                    "key": each.key,
                    "kind": each.kind.value,
                    "sentence": each.sentence,
                    "evidence": dict(each.evidence),
                }
                for each in self.findings
            ]
        }


class _Ids:
    """Op ids of one row and one history, and where each was counted first."""

    def __init__(self) -> None:
        self._of: tuple[str, int] = "", 0
        self._seen: dict[str, int] = {}

    def doubled(self, event: Event) -> str:
        """Where the op id of an event was counted before; empty when it was not."""
        row = event.name, era_of(event)
        if row != self._of:
            self._of, self._seen = row, {}
        id_ = event.data.get("id")
        if not isinstance(id_, str):
            return ""
        first = self._seen.setdefault(id_, event.version)
        return "" if first == event.version else f"recorded as event {first} before"


def rejudge(using: str) -> Rejudged:
    """Judge every event of counters that has its place in the feed."""
    journal, counts, findings = Journal(using), Counts(), list[Finding]()
    watch, ids, after = Watch(""), _Ids(), ("", 0)
    while page := journal.sequenced(OBJECT, after, limit=PAGE):
        for item in page:
            event = item.event
            if event.name != watch.key:
                watch = Watch(event.name)
            findings += judge(watch, event, counts, doubled=ids.doubled(event))
            after = event.name, event.version
    return Rejudged(counts=counts, findings=findings)
