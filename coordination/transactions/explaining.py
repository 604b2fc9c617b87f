"""Why a transaction is where it is: what comes next, who must act, what blocks, when it is retried.

Pure. The same words are on its page, in `concord doctor` and in what the status task answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from coordination.kernel.gids import Electorate
from coordination.transactions.types import ROW, Form, Mode, Outcome, Phase, Vote

NAMED_MAX = 3
UNTAKEN_MS = 2_000
"""How long a message may lie before nobody seems to take it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldUp:
    """A session that waits for a lock of a prepared branch."""

    pid: int
    waited_s: float
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Radius:
    """One prepared branch and what it holds up."""

    branch_gid: str
    using: str
    prepared_s: float
    transactions: int
    """How many have begun since: rows deleted meanwhile cannot be vacuumed."""
    locks: int
    tables: tuple[str, ...]
    sessions: tuple[HeldUp, ...]

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        tables = f" on {', '.join(self.tables)}" if self.tables else ""
        waiting = f"{len(self.sessions)} sessions wait for it"
        if self.sessions:
            waiting += f", the first for {self.sessions[0].waited_s:.0f} s"
        return (
            f"{self.branch_gid} is prepared on {self.using} for {self.prepared_s:.0f} s with "
            f"{self.locks} locks{tables}; {waiting}; {self.transactions} transactions old"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchSituation:
    """One branch as its row has it. Times are milliseconds from now, None: there is none."""

    seq: int
    participant: str
    node: str
    using: str
    mode: Mode
    form: Form
    vote: Vote | None = None
    ended: bool = False
    attempts: int = 0
    error: str = ""
    retry_ms: int | None = None
    peer: bool = False
    """Of another project, whose attempts are not counted here."""

    @property
    def place(self) -> str:
        """The participant, and where it works if that is known."""
        return f"{self.participant} on {self.using}" if self.using else self.participant


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One transaction as its rows have it, by the clock of its database. Ages in milliseconds."""

    gid: str
    name: str
    outcome: Outcome | None
    reason: str
    ended: bool
    heuristic: str
    acknowledged: bool
    age_ms: int
    remaining_ms: int
    """Until its deadline; negative: since."""
    decided_age_ms: int | None
    turn_ms: int | None
    """Until a sweeper looks at it again; negative: since when none has."""
    continues: bool
    """Its continuation is still to be sent."""
    branches: tuple[BranchSituation, ...]
    register: str = ROW
    electorate: Electorate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What can be said of a transaction that waits, in words; `next` is empty when none is due."""

    gid: str
    stuck: bool
    """It takes longer than it should, so a person ought to look."""
    since_ms: int
    """How long it has waited for what is next."""
    next: str
    who: str
    blocks: tuple[str, ...]
    retry_ms: int | None
    radius: tuple[Radius, ...] = ()
    """What its prepared branches hold up in their databases."""

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        if not self.next:
            return "Nothing is due."
        when = "" if self.retry_ms is None else f", tried again in {self.retry_ms / 1000:.0f} s"
        blocks = f": {'; '.join(self.blocks)}" if self.blocks else ""
        return f"For {self.since_ms / 1000:.0f} s: {self.next} by {self.who}{when}{blocks}."


def explain(found: Situation, *, stuck_ms: int, patience_ms: int) -> Explanation:
    """What a transaction waits for.

    Args:
        found: its rows.
        stuck_ms: how long after its decision it should have ended.
        patience_ms: how long after its deadline a sweeper should have decided it.
    """
    if found.ended:
        return _of_ended(found)
    if found.outcome is not None:
        return _of_decided(found, stuck_ms=stuck_ms)
    return _of_undecided(found, patience_ms=patience_ms)


def _of_ended(found: Situation) -> Explanation:
    due = bool(found.heuristic) and not found.acknowledged
    return Explanation(
        gid=found.gid,
        stuck=due,
        since_ms=found.decided_age_ms or 0,
        next=f"its heuristic outcome ({found.heuristic}) to be acknowledged" if due else "",
        who="a person who has put right what ended otherwise" if due else "",
        blocks=(),
        retry_ms=None,
    )


def _of_decided(found: Situation, *, stuck_ms: int) -> Explanation:
    waiting = [branch for branch in found.branches if not branch.ended]
    since_ms = found.decided_age_ms or 0
    if waiting:
        verb = "to be committed" if found.outcome is Outcome.COMMITTED else "to be rolled back"
        todo, who = f"{_named(waiting)} {verb}", _actors(waiting, Phase.FINISH)
        blocks = _troubles(waiting, Phase.FINISH, since_ms)
    else:
        todo, who = "its continuation to be sent", "a sweeper (concord sweep), through the broker"
        blocks = ()
    return Explanation(
        gid=found.gid,
        stuck=since_ms >= stuck_ms,
        since_ms=since_ms,
        next=todo,
        who=who,
        blocks=(*blocks, *_no_sweeper(found)),
        retry_ms=_retry_ms(found, waiting),
    )


def _of_undecided(found: Situation, *, patience_ms: int) -> Explanation:
    waiting = [b for b in found.branches if b.vote is None and b.form is not Form.FORWARD]
    refused = any(branch.vote is Vote.NO for branch in found.branches)
    late_ms = max(0, -found.remaining_ms)
    alone = len(waiting) == 1 and waiting[0].form in (Form.ONE_PHASE, Form.PIVOT)
    blocks: tuple[str, ...] = ()
    if refused or not waiting:
        # Votes decide in the row by themselves; a register elsewhere is asked, and may not answer.
        todo, who = "the decision to be recorded", "a sweeper (concord sweep)"
        if found.register != ROW:
            todo = f"its register on {found.register!r} to say the outcome"
    elif late_ms and not alone:
        todo, who = "the abort, its deadline has passed,", "a sweeper (concord sweep)"
    else:
        word = "to say whether it has committed" if late_ms else "to vote"
        todo, who = f"{_named(waiting)} {word}", _actors(waiting, Phase.PREPARE)
        blocks = _troubles(waiting, Phase.PREPARE, found.age_ms)
    return Explanation(
        gid=found.gid,
        stuck=late_ms > patience_ms,
        since_ms=late_ms or found.age_ms,
        next=todo,
        who=who,
        blocks=(*blocks, *_no_sweeper(found)),
        retry_ms=_retry_ms(found, waiting),
    )


def _named(branches: Sequence[BranchSituation]) -> str:
    names = [branch.place for branch in branches[:NAMED_MAX]]
    more = [f"{len(branches) - NAMED_MAX} more"] if len(branches) > NAMED_MAX else []
    return " and ".join([*names, *more])


def _actors(branches: Sequence[BranchSituation], phase: Phase) -> str:
    queues = sorted({f"{branch.node}.{phase}" for branch in branches})
    swept = phase is Phase.FINISH and all(
        branch.mode is Mode.XA and not branch.peer for branch in branches
    )
    workers = f"a worker of {' and '.join(queues)}"
    return f"{workers}, or a sweeper" if swept else workers


def _troubles(branches: Sequence[BranchSituation], phase: Phase, since_ms: int) -> tuple[str, ...]:
    told = []
    for branch in branches:
        if branch.error:
            told.append(f"{branch.place}: {branch.error}")
        elif branch.peer and since_ms > UNTAKEN_MS:
            told.append(f"{branch.place}: no answer from the project {branch.node!r}")
        elif branch.attempts == 0 and branch.form is not Form.LAST and since_ms > UNTAKEN_MS:
            queue = f"{branch.node}.{phase}"
            told.append(f"{branch.place}: nobody has taken its message; who consumes {queue}?")
    return tuple(dict.fromkeys(told))


def _no_sweeper(found: Situation) -> tuple[str, ...]:
    if found.turn_ms is None or found.turn_ms > -5 * UNTAKEN_MS:
        return ()
    return (f"no sweeper has taken its turn for {-found.turn_ms / 1000:.0f} s: is one running?",)


def _retry_ms(found: Situation, waiting: Sequence[BranchSituation]) -> int | None:
    """Until a sweeper asks again: its turn, once the first of the branches is due."""
    if found.turn_ms is None:
        return None
    due = [branch.retry_ms or 0 for branch in waiting]
    return max(0, found.turn_ms, min(due, default=0))
