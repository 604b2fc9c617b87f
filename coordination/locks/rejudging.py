"""Judges the recorded history of all locks again, from its beginning; keeps nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from coordination.locks.judging import Counts, Finding, Watch, judge
from coordination.locks.projection import OBJECT
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
        del counts["last_grant_us"]
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


def rejudge(using: str) -> Rejudged:
    """Judge every event of locks that has its place in the feed."""
    journal, counts, findings = Journal(using), Counts(), list[Finding]()
    watch, after = Watch(""), ("", 0)
    while page := journal.sequenced(OBJECT, after, limit=PAGE):
        for item in page:
            if item.event.name != watch.key:
                watch = Watch(item.event.name)
            findings += judge(watch, item.event, counts)
            after = item.event.name, item.event.version
    return Rejudged(counts=counts, findings=findings)
