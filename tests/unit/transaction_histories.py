"""Histories of transactions as the coordinator's SQL functions record them, for tests."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from coordination.kernel.events import Event

GID = "bank-6921c0bf-0123456789abcdef"
START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class History:
    """Grows event by event; version and time go with it."""

    def __init__(self, *, gid: str = GID, deadline_s: int = 10) -> None:
        self.gid = gid
        self.deadline_at = START + timedelta(seconds=deadline_s)
        self.events: list[Event] = []

    def add(self, kind: str, *, at_s: float | None = None, **data: Any) -> "History":
        at = START + timedelta(seconds=0.01 * len(self.events) if at_s is None else at_s)
        self.events.append(
            Event(
                kind=kind,
                object="transaction",
                name=self.gid,
                version=len(self.events) + 1,
                at=at,
                node="bank",
                data=data,
            )
        )
        return self

    def begun(self, *branches: dict[str, Any], protocol: str = "2pc") -> "History":
        return self.add(
            "transaction.begun",
            name="transfer",
            protocol=protocol,
            node="bank",
            key=None,
            deadline_at=self.deadline_at.isoformat(),
            branches=list(branches),
            by="web",
        )

    def voted(self, seq: int, vote: str, *, actual: str | None = None, reason: str = ""):
        return self.add("branch.voted", seq=seq, vote=vote, reason=reason, actual=actual, by="w")

    def decided(self, outcome: str, *, reason: str = "", at_s: float | None = None):
        return self.add("transaction.decided", at_s=at_s, outcome=outcome, reason=reason, by="w")

    def finished(self, seq: int, actual: str):
        return self.add("branch.finished", seq=seq, actual=actual, reason="", by="w")

    def delayed(self, seq: int, phase: str, *, attempt: int, error: str = "timed out"):
        return self.add(
            "branch.delayed", seq=seq, phase=phase, error=error, attempt=attempt, retry_in_ms=200
        )

    def ended(self, outcome: str, *, heuristic: str = ""):
        return self.add("transaction.ended", outcome=outcome, heuristic=heuristic)


def branch(seq: int, participant: str, using: str, *, form: str = "prepare", mode: str = "xa"):
    return {
        "seq": seq,
        "participant": participant,
        "node": "bank",
        "using": using,
        "mode": mode,
        "form": form,
        "args": {"amount": 5},
    }


def two_branches() -> History:
    return History().begun(
        branch(1, "bank.withdraw", "bank_a"), branch(2, "bank.deposit", "bank_b")
    )


def step(seq: int, *after: int, form: str = "prepare", mode: str = "saga") -> dict[str, Any]:
    """A step of a saga."""
    return branch(seq, f"bank.s{seq}", "bank_a", form=form, mode=mode) | {"after": list(after)}


def histories() -> st.SearchStrategy[list[Event]]:
    """Any history the functions can write."""
    return st.one_of(plain_histories(), saga_histories())


@st.composite
def saga_histories(draw: st.DrawFn) -> list[Event]:
    """Of a saga: two steps at once, one after both, and one more that may be behind it."""
    pivot = draw(st.booleans())
    history = History().begun(
        step(1, mode=draw(st.sampled_from(["saga", "xa"]))),
        step(2),
        step(3, 1, 2, form="pivot" if pivot else "prepare"),
        step(4, 3, form="forward" if pivot else "prepare"),
        protocol="saga",
    )
    voting = [*draw(st.permutations([1, 2])), 3, *([] if pivot else [4])]
    refused = draw(st.sampled_from([None, *voting]))
    voted: list[int] = []
    for seq in voting:
        if draw(st.booleans()):
            history.delayed(seq, "prepare", attempt=2)
        if seq == refused:
            history.voted(seq, "no", actual="aborted").decided("aborted")
            break
        voted.append(seq)
        history.voted(seq, "yes")
    if refused is None:
        return _committed_saga(draw, history, pivot=pivot)
    for seq in sorted({1, 2, 3, 4} - {refused, *voted}):
        history.finished(seq, "aborted")
    for seq in reversed(voted):
        if draw(st.booleans()):
            history.delayed(seq, "finish", attempt=2)
        history.finished(seq, "aborted")
    return history.ended("aborted").events


def _committed_saga(draw: st.DrawFn, history: History, *, pivot: bool) -> list[Event]:
    history.decided("committed")
    for seq in (1, 2, 3, 4):
        if seq == 4 and pivot and draw(st.booleans()):
            history.delayed(seq, "finish", attempt=2)
        history.finished(seq, "committed")
    return history.ended("committed").events


@st.composite
def plain_histories(draw: st.DrawFn) -> list[Event]:
    """Of a two-phase commit: votes, retries, a decision, finishes, an end."""
    count = draw(st.integers(1, 4))
    forms = ["one_phase" if count == 1 and draw(st.booleans()) else "prepare"] * count
    if count > 1 and draw(st.booleans()):
        forms[-1] = "last"
    history = History().begun(
        *(branch(seq, f"bank.p{seq}", "bank_a", form=form) for seq, form in enumerate(forms, 1))
    )
    votes: dict[int, str] = {}
    actual: dict[int, str] = {}
    for seq in draw(st.permutations(range(1, count + 1))):
        for attempt in range(2, draw(st.integers(2, 4))):
            history.delayed(seq, "prepare", attempt=attempt)
        votes[seq] = draw(st.sampled_from(["yes", "yes", "no", "read_only"]))
        if votes[seq] == "read_only":
            actual[seq] = "read_only"
        elif votes[seq] == "no" and draw(st.booleans()):
            actual[seq] = "aborted"
        elif votes[seq] == "yes" and forms[seq - 1] != "prepare":
            actual[seq] = "committed"
        history.voted(seq, votes[seq], actual=actual.get(seq))
        if votes[seq] == "no" or (draw(st.integers(0, 9)) == 0 and not actual):
            history.decided("aborted", reason=draw(st.sampled_from(["", "cancelled"])))
            break
    else:
        history.decided("committed")
    outcome = history.events[-1].data["outcome"]
    for seq in range(1, count + 1):
        if seq in actual:
            continue
        for _ in range(draw(st.integers(0, 2))):
            history.add("branch.sent", seq=seq, phase="finish")
        actual[seq] = draw(st.sampled_from([outcome, outcome, "heuristic_hazard"]))
        history.finished(seq, actual[seq])
    if draw(st.booleans()):
        history.add("transaction.continued")
    hazard = "hazard" if "heuristic_hazard" in actual.values() else ""
    return history.ended(outcome, heuristic=hazard).events
