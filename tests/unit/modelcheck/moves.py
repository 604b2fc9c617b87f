"""Every atomic move of the model: deliveries, handlers' steps, coordinators, the caller, crashes.

Messages and wishes stay in flight once they were sent. So loss (never delivered), delay, reorder,
any number of duplicates, stale snapshots and any number of coordinators need no moves of their
own: each is a choice of when, how often, or whether a thing in flight is taken up.
"""

from collections.abc import Iterator
from typing import NamedTuple

from coordination.transactions.machine import Local
from coordination.transactions.types import Actual, Outcome, Result, Vote
from tests.unit.modelcheck import participant
from tests.unit.modelcheck.rules import BALLOTS, Rules, with_row
from tests.unit.modelcheck.world import (
    CONTINUE,
    FINISH,
    PREPARE,
    At,
    Bounds,
    Branch,
    Caller,
    Handler,
    Kind,
    State,
    replaced,
)


class Move(NamedTuple):
    """Who does what, and the state then."""

    who: str
    what: str
    state: State

    def __str__(self) -> str:
        return f"{self.who}: {self.what}"


Step = tuple[str, Branch]
"""What happens at one branch alone, and the branch then."""


def all_moves(rules: Rules, bounds: Bounds, state: State) -> Iterator[Move]:
    """Every move, faults included."""
    for index, branch in enumerate(state.branches):
        for what, after in local_steps(rules, bounds, branch, state.outcome):
            yield Move(f"branch {index + 1}", what, replaced(state, index, after))
    yield from joint_moves(rules, state)


def local_steps(rules: Rules, bounds: Bounds, branch: Branch, outcome: str) -> Iterator[Step]:
    """What may happen at a branch without a change of the rows: depends on nothing else."""
    if len(branch.running) < bounds.handlers:
        yield from _deliveries(rules, branch, outcome)
    for place in _places(branch):
        yield from _own_moves(rules, branch, place)
        yield from _faults(branch, place)
    if not rules.waits_for_register and branch.local is Local.PREPARED:
        yield "rolls back on its own", branch._replace(local=Local.IDLE)


def joint_moves(rules: Rules, state: State) -> Iterator[Move]:
    """What reads and changes the rows, and the caller's whole work."""
    for index, branch in enumerate(state.branches):
        for place in _places(branch):
            yield from _joint_handler_moves(rules, state, index, place)
    yield from wish_moves(rules, state)
    if state.caller is not None:
        yield from caller_moves(rules, state)
        yield Move("caller", "crashes", state._replace(caller=None))


def in_flight(rules: Rules, state: State) -> State:
    """The state with everything in flight that a coordinator would send on reading it."""
    demanded, wishes = rules.demands(state)
    if not wishes.issubset(state.wishes):
        state = state._replace(wishes=tuple(sorted(wishes.union(state.wishes))))
    for index, branch in enumerate(state.branches):
        more = demanded[index]
        if rules.sends_last_early and branch.kind is Kind.LAST:
            more += PREPARE
        if more and not set(more) <= set(branch.sent):
            sent = "".join(sorted({*branch.sent, *more}))
            state = replaced(state, index, branch._replace(sent=sent))
    return state


def _places(branch: Branch) -> Iterator[int]:
    """Positions of handlers that differ."""
    for place, handler in enumerate(branch.running):
        if place == 0 or branch.running[place - 1] != handler:
            yield place


def _deliveries(rules: Rules, branch: Branch, outcome: str) -> Iterator[Step]:
    for message in branch.sent:
        overtaken = rules.ends_overtaken and bool(outcome) and message == PREPARE
        handler = claimed(branch, outcome, FINISH if overtaken else message)
        if handler is not None:
            words = {PREPARE: "prepare", FINISH: "finish"}.get(message, f"finish {message}")
            yield f"{words} delivered, {_words(handler)}", begun(branch, handler)
    if rules.orphan_sweep and orphaned(branch, outcome):
        yield "found by the orphan sweep", begun(branch, Handler(At.ORPHAN, outcome))


def claimed(branch: Branch, outcome: str, message: str) -> Handler | None:
    """What a handler does after it read the rows; None: nothing."""
    if message not in (PREPARE, FINISH):
        return Handler(At.ENDING, Outcome.COMMITTED if message == "C" else Outcome.ABORTED)
    if branch.actual:
        return None
    if outcome and branch.after is not None and message == PREPARE:
        return None  # a step is ended in its turn
    if outcome:
        return Handler(At.ENDING, outcome)
    return Handler(At.CLAIMED) if message == PREPARE and not branch.vote else None


def orphaned(branch: Branch, outcome: str) -> bool:
    """Whether the orphan sweep may end it: prepared, though finished by its row."""
    prepared = branch.local is Local.PREPARED and branch.kind is Kind.XA
    return prepared and bool(outcome) and bool(branch.actual)


def begun(branch: Branch, handler: Handler) -> Branch:
    """The branch with one more handler."""
    return branch._replace(running=tuple(sorted((*branch.running, handler))))


def _start(state: State, index: int, handler: Handler) -> State:
    return replaced(state, index, begun(state.branches[index], handler))


def _moved(branch: Branch, place: int, then: Handler | None) -> Branch:
    rest = branch.running[:place] + branch.running[place + 1 :]
    return branch._replace(running=tuple(sorted((*rest, then))) if then is not None else rest)


def handler_moves(rules: Rules, state: State, index: int, place: int) -> Iterator[Move]:
    """The next step of one handler, with each of its possible results."""
    for what, after in _own_moves(rules, state.branches[index], place):
        yield Move(f"branch {index + 1}", what, replaced(state, index, after))
    yield from _joint_handler_moves(rules, state, index, place)


def _own_moves(rules: Rules, branch: Branch, place: int) -> Iterator[Step]:
    at, holds = branch.running[place]
    for answer in _own_steps(rules, branch, at, holds):
        yield f"{answer.words}{_then(answer.then)}", _moved(answer.branch, place, answer.then)


def _own_steps(rules: Rules, branch: Branch, at: At, holds: str) -> Iterator[participant.Answer]:
    if at is At.CLAIMED and branch.kind is Kind.LAST:
        # What remains is of the rows' database as well, and is a joint move.
        if branch.local is not Local.IDLE:
            yield participant.Answer("was answered by an earlier attempt", branch, None)
    elif at is At.CLAIMED:
        yield from participant.answers(rules, branch)
    elif at is At.REFUSED:
        yield participant.burials(rules, branch)
    elif at is At.ENDING and not rules.finishes_before_ack:
        yield participant.Answer("not finished yet", branch, Handler(At.ENDED, holds))
    elif at in (At.ENDING, At.ORPHAN):
        yield participant.endings(rules, branch, Outcome(holds), orphan=at is At.ORPHAN)
    elif at in (At.ROLLED_BACK, At.ORPHAN_ROLLED_BACK):
        orphan = at is At.ORPHAN_ROLLED_BACK
        yield participant.burials_after_rollback(rules, branch, orphan=orphan)


def _joint_handler_moves(rules: Rules, state: State, index: int, place: int) -> Iterator[Move]:
    who, branch = f"branch {index + 1}", state.branches[index]
    at, holds = branch.running[place]
    if at is At.ANSWERED:
        yield Move(who, f"votes {holds}", _cast(rules, state, index, place))
    elif at is At.ENDED:
        after = replaced(state, index, _moved(branch, place, None))
        row = rules.results(after, Result(seq=index + 1, actual=Actual(holds)))
        after = with_row(after, row)
        if not rules.finishes_before_ack:
            after = _start(after, index, Handler(At.ORPHAN, state.outcome))
        yield Move(who, f"{holds} recorded", after)
    elif at is At.CLAIMED and branch.kind is Kind.LAST:
        yield from _last_moves(rules, state, index, place)


def _faults(branch: Branch, place: int) -> Iterator[Step]:
    handler = branch.running[place]
    yield f"crash of the handler {_words(handler)}", _moved(branch, place, None)
    if handler.at is At.ANSWERED:
        again = _moved(branch, place, Handler(At.CLAIMED))
        yield "a reply is lost, the same work again", again
    elif handler.at is At.CLAIMED and branch.kind is Kind.LAST:
        yield "is late", _moved(branch, place, None)


def _cast(rules: Rules, state: State, index: int, place: int) -> State:
    branch = state.branches[index]
    kind = branch.running[place].holds
    row = rules.votes(state, ((index, kind),))
    assert row is not None, "only last agents are refused, and they vote in their own commit"
    after = with_row(replaced(state, index, _moved(branch, place, None)), row)
    return _follow(rules, state, after, ((index, kind),))


def _follow(
    rules: Rules, before: State, after: State, ballots: tuple[tuple[int, str], ...]
) -> State:
    """What whoever cast `ballots` goes on with: tells, then ends what it is at."""
    after = _told(rules, before, after)
    if after.outcome and not rules.ordered:
        for index, kind in ballots:
            if BALLOTS[kind][1] is None:
                after = _start(after, index, Handler(At.ENDING, after.outcome))
    return after


def _told(rules: Rules, before: State, after: State) -> State:
    missing = [branch for branch in after.branches if branch.vote != Vote.YES]
    if not rules.tells_after_vote and not after.outcome and len(missing) == 1:
        return after._replace(told=after.told or Outcome.COMMITTED)
    if after.outcome and not before.outcome:
        return after._replace(told=after.told or after.outcome)
    return after


def _last_moves(rules: Rules, state: State, index: int, place: int) -> Iterator[Move]:
    who, branch = f"branch {index + 1}", state.branches[index]
    for words, after, refusal in _last_results(rules, state, index, ()):
        if after is not None:
            left = _moved(after.branches[index], place, None)
            yield Move(who, words, replaced(after, index, left))
        else:
            answered = _moved(branch, place, participant.ballot(refusal))
            yield Move(who, f"{words}, rolled back", replaced(state, index, answered))


def _last_results(
    rules: Rules, state: State, index: int, others: tuple[tuple[int, str], ...]
) -> Iterator[tuple[str, State | None, str]]:
    """A last agent's run: the state after its commit, or None and the ballot of its refusal."""
    for words, kept, kind in participant.last_answers(rules, state.branches[index]):
        row = None
        if kind != "no, aborted":
            row = rules.votes(state, (*others, (index, kind)))
        decided_now = row is not None and not state.outcome and row.outcome is not None
        if row is None or not (decided_now or rules.sends_last_early):
            yield words, None, "no, aborted"
            continue
        after = with_row(replaced(state, index, kept), row)
        yield words, _told(rules, state, after), ""


def wish_moves(rules: Rules, state: State) -> Iterator[Move]:
    """A coordinator, operator or caller performs what it once read or wished."""
    for wish in state.wishes:
        if wish == CONTINUE:
            if state.then == "due":
                yield Move("coordinator", "sends the continuation", state._replace(then="done"))
            continue
        row = rules.decisions(state, Outcome(wish))
        after = _told(rules, state, with_row(state, row))
        if not rules.reads_register_back:
            letter = "C" if wish == Outcome.COMMITTED else "A"
            branches = [b._replace(sent="".join(sorted({*b.sent, letter}))) for b in after.branches]
            after = after._replace(branches=tuple(branches))
        if after != state:
            yield Move("coordinator", f"asks the register for {wish}", after)


def caller_moves(rules: Rules, state: State) -> Iterator[Move]:
    """The caller of inline branches: one after another, then all votes in one statement."""
    caller = state.caller
    assert caller is not None
    index, ballots = caller.next_index, _ballots(caller)
    if index == len(state.branches):
        yield Move("caller", f"votes {_list(ballots)}", _caller_votes(rules, state, ballots))
        return
    branch, whole = state.branches[index], len(ballots) == index and not _refused(caller)
    for added in _passed_over(rules, state, caller):
        words = f"does not run branch {index + 1}" if not whole else f"fails at branch {index + 1}"
        yield Move("caller", words, state._replace(caller=added))
    if branch.kind is Kind.LAST and whole:
        yield from _caller_last(rules, state, ballots)
    elif branch.kind is not Kind.LAST:
        yield from _caller_runs(rules, state, caller)


def _ballots(caller: Caller) -> tuple[tuple[int, str], ...]:
    return tuple((index, kind) for index, kind in enumerate(caller.ballots) if kind)


def _refused(caller: Caller) -> bool:
    return any(kind.startswith("no") for kind in caller.ballots)


def _passed_over(rules: Rules, state: State, caller: Caller) -> Iterator[Caller]:
    """The caller without an answer of the next branch, and stopping there or going on.

    It goes on where branches run at once. After a refusal it votes the rest down unrun.
    """
    if _refused(caller) and "" not in caller.ballots:
        rest = [
            "no" if branch.kind is Kind.TCC and rules.ends_unrun else "no, aborted"
            for branch in state.branches[caller.next_index :]
        ]
        yield Caller(len(state.branches), (*caller.ballots, *rest))
        return
    yield Caller(len(state.branches), caller.ballots)
    yield Caller(caller.next_index + 1, (*caller.ballots, ""))


def _caller_runs(rules: Rules, state: State, caller: Caller) -> Iterator[Move]:
    index = caller.next_index
    for answer in participant.answers(rules, state.branches[index]):
        last = answer
        if answer.then is not None and answer.then.at is At.REFUSED:
            last = participant.burials(rules, answer.branch)
        assert last.then is not None
        added = Caller(index + 1, (*caller.ballots, last.then.holds))
        running = replaced(state, index, last.branch)._replace(caller=added)
        yield Move("caller", f"branch {index + 1} {answer.words}", running)


def _caller_last(rules: Rules, state: State, others: tuple[tuple[int, str], ...]) -> Iterator[Move]:
    caller = state.caller
    assert caller is not None
    index = caller.next_index
    if state.branches[index].local is not Local.IDLE:
        yield Move("caller", "finds the last agent done", state._replace(caller=None))
    for words, after, refusal in _last_results(rules, state, index, others):
        if after is None:
            added = Caller(index + 1, (*caller.ballots, refusal))
            yield Move("caller", f"last agent {words}, rolled back", state._replace(caller=added))
        else:
            followed = _follow(rules, state, after, others)._replace(caller=None)
            yield Move("caller", f"last agent {words} with {_list(others)}", followed)


def _caller_votes(rules: Rules, state: State, ballots: tuple[tuple[int, str], ...]) -> State:
    row = rules.votes(state, ballots)
    assert row is not None
    after = with_row(state, row)._replace(caller=None)
    return _follow(rules, state, after, ballots)


def _list(ballots: tuple[tuple[int, str], ...]) -> str:
    return "; ".join(f"{index + 1} {kind}" for index, kind in ballots)


def _words(handler: Handler) -> str:
    return f"{handler.at} {handler.holds}".rstrip()


def _then(handler: Handler | None) -> str:
    return "" if handler is None else f", {_words(handler)}"
