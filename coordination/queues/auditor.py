"""The live auditor of queues: counts each one, judges every event of it once, keeps the verdict.

Any number may run: each pass is one transaction that first moves the auditor's cursor. The verdict
says HOLDS only on evidence: a store that is not read or not counted, events that were lost, or no
message at all make it UNPROVEN, and so does time (see `Verdict`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from coordination import failpoints
from coordination.exceptions import CoordinationError
from coordination.kernel.events import Event
from coordination.observing.findings import PLACE_MAX, Broken
from coordination.queues import judging, verdict
from coordination.queues.audit_journal import AuditJournal, Concluded, Here
from coordination.queues.census import Census
from coordination.queues.events import key_of, key_of_event
from coordination.queues.judging import Counts, Finding, Watch
from coordination.queues.projection import ids_of
from coordination.queues.rounds import Rounds
from coordination.queues.stores.counting import IDS_MAX, Counter
from coordination.queues.verdict import Standing

PERIOD_S: Final = 1.0
QUEUES_MAX: Final = 50
"""Of one store, counted in one pass."""
FINDINGS_MAX: Final = 50
"""A store that is broken through and through breaks rules faster than anybody reads."""
NAMED_WITHIN_S: Final = 5.0
"""How long to wait for the records to say which messages are missing."""
UNSEEN_S: Final = 15.0
"""Events that a store has recorded and that have not come for so long are lost."""


@dataclass
class _Round:
    """One auditor's view of one store."""

    counter: Counter
    rounds: Rounds = field(default_factory=Rounds)
    to_count: set[str] = field(default_factory=set)
    counted: dict[str, bool] = field(default_factory=dict)
    """Queue → whether it could be counted to the message."""
    failed: str = ""


@dataclass
class _Judged:
    """What a pass came to."""

    counts: Counts = field(default_factory=Counts)
    findings: list[Finding] = field(default_factory=list)
    missed: set[str] = field(default_factory=set)
    """Queues of which events were lost."""


class QueueAuditor:
    """Audits the queues whose events are in the database alias `using`."""

    def __init__(
        self,
        using: str,
        *,
        counters: Sequence[Counter],
        copied: Sequence[str],
        uncounted: Sequence[str] = (),
        unseen: Sequence[str] = (),
        period_s: float = PERIOD_S,
    ) -> None:
        """Audit what `counters` count.

        Args:
            using: where the events, and what is known, are.
            counters: of the stores with queues.
            copied: stores whose events an importer has to bring.
            uncounted: stores with queues that nobody can count: the verdict is not about them.
            unseen: stores whose events nobody reads: their queues are counted, and no more.
            period_s: how often it is to be concluded.
        """
        self._journal = AuditJournal(using)
        self._rounds = [_Round(counter) for counter in counters]
        self._copied, self._uncounted, self._unseen_stores = copied, uncounted, unseen
        self._period_s = period_s
        self._since: dict[str, tuple[int, float]] = {}
        """Queue → a state that may settle by itself, and since when it is seen."""

    def step(self) -> int:
        """One pass; returns how far it came when there is more.

        Raises Fenced when another auditor was first, and what `database.run` raises.
        """
        here = self._journal.here()
        until, events = self._journal.events(here)
        messages = sorted({(key_of_event(e.name), id_) for e in events for id_ in ids_of(e)})
        due = {
            key_of(each.counter.alias, name): (each, name)
            for each in self._rounds
            for name in self._due(each)
        }
        # Before the queues are counted, so that no count is older than what is known.
        watches = self._journal.watches(due.keys() | {key_of_event(e.name) for e in events})
        self._journal.mark(watches, messages)
        published = here.published - sum(watch.published for watch in watches.values())
        judged = _judged(watches, events)
        complete = until == here.feed and here.oldest is None and self._all_copied(here)
        for key, (each, name) in due.items():
            self._count(each, name, watches[key], judged, complete=complete)
        published += sum(watch.published for watch in watches.values())
        standing = self._standing(here, until, events, published=published)
        concluded = self._concluded(here, until, standing, judged)
        failpoints.hit("queue-audit.commit.before")
        self._journal.conclude(here, watches, messages, concluded)
        return until - here.after if until < here.feed else 0

    def _all_copied(self, here: Here) -> bool:
        """Whether an importer has just been at the end of every store's events."""
        read = [here.stores.get(alias, (1, 0.0)) for alias in self._copied]
        return all(left == 0 and age_s < verdict.UNREAD_S for left, age_s in read)

    # Counting.

    def _due(self, each: _Round) -> list[str]:
        """Queues of a store whose turn it is."""
        try:
            names = each.counter.names()
        except CoordinationError as error:
            each.failed = f"queues of {each.counter.alias} cannot be counted: {error}"
            return []
        each.failed = ""
        each.to_count = set(names) - each.counted.keys()
        each.counted = {name: each.counted[name] for name in names if name in each.counted}
        return each.rounds.due(names, time.monotonic(), most=QUEUES_MAX)

    def _count(
        self, each: _Round, name: str, watch: Watch, judged: _Judged, *, complete: bool
    ) -> None:
        """Count one queue, and judge what it comes to."""
        if each.failed:
            return
        begun = time.monotonic()
        try:
            census = each.counter.count(name)
            if judging.rolled_back(watch, census) or self._unseen(watch, census, complete):
                judged.missed.add(watch.key)
                judging.forget(watch)
                watch.version = census.version
            named = self._named(each, watch, census)
        except CoordinationError as error:
            each.failed = f"queues of {each.counter.alias} cannot be counted: {error}"
            return
        now = time.monotonic()
        each.rounds.looked(name, now, took_s=now - begun, seen=(census.totals, census.held))
        each.counted[name] = census.counted
        each.to_count.discard(name)
        if named is not None:
            judged.findings += judging.weigh(watch, census, named)

    def _unseen(self, watch: Watch, census: Census, complete: bool) -> bool:
        """Whether events that the store numbered have not come, though all that came are judged."""
        return bool(
            complete
            and census.version > watch.version
            and self._lasts(f"unseen {watch.key}", watch.version, UNSEEN_S)
        )

    def _named(self, each: _Round, watch: Watch, census: Census) -> list[str] | None:
        """Ids of the messages that are missing, as far as they are known; None: not known yet."""
        if not census.counted or census.missing == watch.missing or census.missing <= 0:
            return []
        if census.missing > IDS_MAX or (ids := each.counter.ids(census.queue)) is None:
            return []
        gone = sorted(self._journal.there(watch.key, limit=IDS_MAX) - ids)
        if len(gone) == census.missing:
            return gone
        # What was acked just now is not in the records yet, or what was published.
        late = self._lasts(f"named {watch.key}", census.missing, NAMED_WITHIN_S)
        return [] if late else None

    def _lasts(self, what: str, state: int, seconds: float) -> bool:
        """Whether it has been in this state for so long."""
        now = time.monotonic()
        known, since = self._since.get(what, (None, now))
        if known != state:
            self._since[what] = state, now
            return False
        return now - since >= seconds

    # Concluding.

    def _standing(
        self, here: Here, until: int, events: Sequence[Event], *, published: int
    ) -> Standing:
        failed = {each.counter.alias: each.failed for each in self._rounds if each.failed}
        return Standing(
            now=here.now,
            unread=verdict.unread(self._copied, here.stores, failed),
            waits_since=here.oldest,
            left=sum(left for left, _ in here.stores.values()),
            latest=events[-1].at if events else None,
            behind=here.feed - until,
            to_count=sum(len(each.to_count) for each in self._rounds),
            too_many=[
                key_of(each.counter.alias, name)
                for each in self._rounds
                for name, exact in each.counted.items()
                if not exact
            ],
            published=published,
        )

    def _concluded(self, here: Here, until: int, standing: Standing, judged: _Judged) -> Concluded:
        evidence = self._evidence(here.evidence, standing, judged)
        state, reason = verdict.state_of(standing, evidence)
        return Concluded(
            until=until,
            state=state,
            reason=reason,
            checked=standing.published,
            since=standing.now if standing.published else None,
            period_s=self._period_s,
            evidence=evidence,
            found=[_broken(each) for each in judged.findings[:FINDINGS_MAX]],
            missed=sorted(judged.missed),
        )

    def _evidence(
        self, known: Mapping[str, Any], standing: Standing, judged: _Judged
    ) -> dict[str, Any]:
        """What was judged since the beginning, this pass included."""
        left_out = max(0, len(judged.findings) - FINDINGS_MAX)
        counts = asdict(judged.counts) | {"gaps": len(judged.missed)}
        return {
            **{name: known.get(name, 0) + number for name, number in counts.items()},
            "findings_left_out": known.get("findings_left_out", 0) + left_out,
            "last_gap_at": standing.now.isoformat() if judged.missed else known.get("last_gap_at"),
            "queues": sum(len(each.counted) for each in self._rounds),
            "behind": standing.behind,
            "unimported": standing.left,
            "too_many": list(standing.too_many),
            "uncounted": list(self._uncounted),
            "unseen": list(self._unseen_stores),
            "stores": dict(standing.unread),
        }


def _judged(watches: Mapping[str, Watch], events: Sequence[Event]) -> _Judged:
    judged = _Judged()
    for event in events:
        watch = watches[key_of_event(event.name)]
        generation = watch.generation
        judged.findings += judging.judge(watch, event, judged.counts)
        if watch.generation != generation:
            judged.missed.add(watch.key)
    return judged


def _broken(finding: Finding) -> Broken:
    return Broken(
        subject=finding.key,
        place=min(finding.ordinal, PLACE_MAX),
        kind=finding.kind.value,
        sentence=finding.sentence,
        evidence=finding.evidence,
    )
