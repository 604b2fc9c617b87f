"""A node of another project: its workers go by what they are told, and report by message.

After `worker.py` (what has a brief) and `remote.py`.
"""

from typing import Any

from coordination.transactions.types import Actual, Outcome, Phase
from coordination.verification.simulation.engine.answering import Claimed, Steps
from coordination.verification.simulation.engine.book import NO, NO_ABORTED
from coordination.verification.simulation.engine.branch import Busy
from coordination.verification.simulation.engine.coordinating import (
    Coordinating,
    Message,
)
from coordination.verification.simulation.processes import Lost, Process

DECIDERS = ("decide a1", "decide a2")


class PeerWorker:
    """One process of the peer that takes messages of a phase."""

    def __init__(self, doing: Coordinating, name: str) -> None:
        self.doing, self.sim = doing, doing.sim
        self.process = Process(name, self._receive)
        self.sim.processes[name] = self.process

    def _receive(self, message: Message) -> None:
        self.sim.start(self.process, self._attempt(message), message)

    def _attempt(self, message: Message) -> Steps:
        phase, seqs, brief = message
        assert brief is not None
        outcome, left_us = brief
        for seq in seqs:
            try:
                if outcome is not None:
                    yield from self._finish(seq, outcome)
                elif phase is Phase.PREPARE:
                    yield from self._prepare(seq, left_us)
            except (Busy, Lost):
                return

    def _prepare(self, seq: int, left_us: int) -> Steps:
        # The time left is counted from the message's arrival, and attempts are not counted at all.
        work = Claimed(self.doing.branches[seq - 1], left_us, 1, self.sim.now_us)
        ballot = yield from self.doing.answering.answer(work)
        if ballot == NO_ABORTED and not self.doing.rules.peer_no_ends_branch:
            ballot = NO
        self._report(("vote", seq, ballot))

    def _finish(self, seq: int, outcome: Outcome) -> Steps:
        actual = yield from self.doing.end(self.doing.branches[seq - 1], outcome)
        self._report(("result", seq, actual))

    def _report(self, report: tuple[str, int, Any]) -> None:
        words = f"{report[0]} of branch {report[1]}: {report[2]}"
        self.sim.send(self.process.name, DECIDERS, report, words)


class Decider:
    """One process of the coordinator's node that takes what peers report."""

    def __init__(self, doing: Coordinating, name: str) -> None:
        self.doing, self.sim = doing, doing.sim
        self.process = Process(name, self._receive)
        self.sim.processes[name] = self.process

    def _receive(self, report: tuple[str, int, Any]) -> None:
        self.sim.start(self.process, self._record(report), report)

    def _record(self, report: tuple[str, int, Any]) -> Steps:
        doing, (kind, seq, fact) = self.doing, report
        if kind == "result":
            assert isinstance(fact, Actual)
            yield from doing.asked("branch.ack", doing.rows.finish, ((seq, fact),))
            return
        standing = yield from doing.cast(self.process, ((seq, fact),))
        if standing is not None and standing[0] is not None:
            yield from doing.advance(self.process, here="a")
