"""Transactions at any point of their story: written as events, observed into records and feed."""

import secrets
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from coordination import conf, registry
from coordination.observing.feed import Feed
from coordination.observing.fences import Fenced
from coordination.observing.journal import Journal
from coordination.observing.observer import Observer
from coordination.observing.tables import Event
from coordination.transactions.recording import TransactionProjection

BRANCHES = (("bank.a.withdraw", "bank_a"), ("bank.b.deposit", "bank_b"))


class Story:
    """One transaction, told event by event from `ago_s` seconds before now."""

    def __init__(
        self,
        *branches: tuple[str, str],
        name: str = "bank.send_payment",
        ago_s: float = 1.0,
        gid: str | None = None,
        args: dict[str, Any] | None = None,
        key: str | None = None,
    ) -> None:
        self.at = datetime.now(UTC) - timedelta(seconds=ago_s)
        stamp = f"{int(self.at.timestamp()):08x}"
        self.gid = gid or f"bank-{stamp}-{secrets.token_hex(8)}"
        self._unwritten: list[Event] = []
        self._version = 0
        enlisted = [
            {
                "seq": seq,
                "participant": participant,
                "node": "bank",
                "using": using,
                "mode": "xa",
                "form": "prepare",
                "args": args or {"account": 7, "cents": 1_250},
            }
            for seq, (participant, using) in enumerate(branches or BRANCHES, 1)
        ]
        self.count = len(enlisted)
        self._add(
            "transaction.begun",
            name=name,
            protocol="2pc",
            node="bank",
            key=key,
            deadline_at=(self.at + timedelta(seconds=10)).isoformat(),
            branches=enlisted,
            by="web",
        )

    def voted(self, seq: int, vote: str = "yes", *, reason: str = "", after_ms: int = 20) -> Self:
        """Branch `seq` answered."""
        actual = {"no": "aborted", "read_only": "read_only"}.get(vote)
        return self._add(
            "branch.voted", after_ms, seq=seq, vote=vote, reason=reason, actual=actual, by="prepare"
        )

    def decided(self, outcome: str, *, reason: str = "", after_ms: int = 0) -> Self:
        """The register was set."""
        return self._add("transaction.decided", after_ms, outcome=outcome, reason=reason, by="web")

    def delayed(self, seq: int, phase: str, error: str, *, attempt: int, after_ms: int) -> Self:
        """An attempt failed."""
        data = {"seq": seq, "phase": phase, "error": error, "attempt": attempt}
        return self._add("branch.delayed", after_ms, **data, retry_in_ms=4_000)

    def sent(self, seq: int, phase: str, *, attempt: int, after_ms: int = 0) -> Self:
        """The sweeper sent a message again."""
        return self._add("branch.sent", after_ms, seq=seq, phase=phase, attempt=attempt)

    def finished(self, seq: int, actual: str, *, after_ms: int = 12) -> Self:
        """Branch `seq` ended."""
        data = {"seq": seq, "actual": actual, "reason": "", "by": "finish"}
        return self._add("branch.finished", after_ms, **data)

    def ended(self, outcome: str, *, heuristic: str = "") -> Self:
        """Everything ended."""
        return self._add("transaction.ended", outcome=outcome, heuristic=heuristic)

    def resolved(self, action: str, *, actor: str, reason: str) -> Self:
        """Somebody stepped in."""
        return self._add("transaction.resolved", action=action, actor=actor, reason=reason)

    def committed(self) -> Self:
        """All the rest of a good ending."""
        for seq in range(1, self.count + 1):
            self.voted(seq)
        self.decided("committed")
        for seq in range(1, self.count + 1):
            self.finished(seq, "committed")
        return self.ended("committed")

    def refused(self, reason: str = "insufficient funds") -> Self:
        """The first branch votes no; the others are undone."""
        self.voted(1, "no", reason=reason)
        self.decided("aborted", reason=f"{BRANCHES[0][0]} voted no: {reason}")
        for seq in range(2, self.count + 1):
            self.finished(seq, "aborted", after_ms=40)
        return self.ended("aborted")

    def write(self) -> Self:
        """Put what was told since the last time into the event log."""
        Event.objects.bulk_create(self._unwritten)
        self._unwritten = []
        return self

    def _add(self, kind: str, after_ms: int = 0, **data: Any) -> Self:
        self.at += timedelta(milliseconds=after_ms)
        self._version += 1
        self._unwritten.append(
            Event(
                kind=kind,
                object="transaction",
                name=self.gid,
                version=self._version,
                at=self.at,
                node="bank",
                actor=str(data.get("by", "")),
                data=data,
            )
        )
        return self


def observe(*stories: Story) -> None:
    """Write the stories and let an observer give them their place in records and feed."""
    for story in stories:
        story.write()
    mailbox = conf.current().transactions.mailbox
    assert mailbox is not None
    feed = Feed(registry.redis_store(mailbox), conf.current().node)
    observer = Observer(Journal("default"), [TransactionProjection()], feed)
    while True:
        with suppress(Fenced):
            if observer.step() == 0:
                break
    observer.stand_by()


def in_doubt(ago_s: float = 372.0) -> Story:
    """Prepared in one database, silent in the other."""
    return Story(ago_s=ago_s).voted(1)


def applying(ago_s: float = 138.0) -> Story:
    """Decided, applied in one database, failing in the other."""
    story = Story(ago_s=ago_s).voted(1).voted(2, after_ms=35).decided("committed")
    story.finished(1, "committed")
    story.delayed(2, "finish", "connection reset by peer", attempt=1, after_ms=8)
    story.sent(2, "finish", attempt=2, after_ms=41_300)
    return story.delayed(2, "finish", "no answer within 2 s", attempt=2, after_ms=2_000)


def heuristic(ago_s: float = 900.0) -> Story:
    """Decided to commit; somebody rolled a branch back by hand."""
    story = Story(ago_s=ago_s).voted(1).voted(2).decided("committed").finished(1, "committed")
    story.finished(2, "heuristic_rollback", after_ms=2_600)
    return story.ended("committed", heuristic="mixed")


def many(count: int, *, ago_s: float = 60.0) -> Sequence[Story]:
    """Ended ones, spread over the last `ago_s` seconds; every sixth voted down."""
    names = ("bank.send_payment", "bank.amalgamate", "bank.write_check", "bank.deposit_checking")
    return [
        (Story.refused if i % 6 == 5 else Story.committed)(
            Story(name=names[i % len(names)], ago_s=ago_s * (count - i) / count + 1)
        )
        for i in range(count)
    ]
