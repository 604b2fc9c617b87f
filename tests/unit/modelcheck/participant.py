"""What a branch's own database can come to in one atomic step of a handler or of the caller.

A body's run is one step: while it lasts, its advisory lock (or barrier row) turns every other
attempt away, which is the same as a message that is never delivered.
"""

from collections.abc import Iterator
from typing import NamedTuple

from coordination.transactions.machine import Local
from coordination.transactions.types import Actual, Mode, Outcome, Vote
from tests.unit.modelcheck.rules import Rules
from tests.unit.modelcheck.world import At, Branch, Handler, Kind

BODY_AFTER_TOMBSTONE = "its body ran after the tombstone"
APPLIED_TWICE = "its work was applied twice"


class Answer(NamedTuple):
    """How it happened, the branch then, and where its handler stands (None: it is done)."""

    words: str
    branch: Branch
    then: Handler | None


def ballot(kind: str) -> Handler:
    return Handler(At.ANSWERED, kind)


def answers(rules: Rules, branch: Branch) -> Iterator[Answer]:
    """A claimed branch that prepares or commits alone is answered, for whatever reason."""
    by_kind = {
        Kind.XA: _xa,
        Kind.TCC: _tcc,
        Kind.SAGA: _tcc,
        Kind.PIVOT: _pivot,
        Kind.FORWARD: _tcc,
        Kind.ONE_PHASE: _one_phase,
    }
    yield from by_kind[branch.kind](rules, branch)


def _xa(rules: Rules, branch: Branch) -> Iterator[Answer]:
    found = {Vote.YES: "yes", Vote.NO: "no, aborted", Vote.READ_ONLY: "read only"}
    for body in Vote:
        if branch.local is Local.IDLE and body is Vote.YES and not rules.prepares_before_vote:
            yield Answer("body says yes, prepares later", branch, ballot("yes"))
            continue
        after, vote = _body(rules, branch, body)
        yield Answer(_said(branch, body), after, ballot(found[vote]))
    prepared = branch.local is Local.PREPARED
    yield Answer("is late", branch, ballot("yes" if prepared else "no"))
    yield from _given_up(rules, branch)
    yield Answer("does not know the participant", branch, ballot("no, aborted"))


def _tcc(rules: Rules, branch: Branch) -> Iterator[Answer]:
    for body in (Vote.YES, Vote.NO):
        after, vote = _body(rules, branch, body)
        refused = branch.local is Local.IDLE and rules.buries_before_no
        no = Handler(At.REFUSED) if refused else ballot("no, aborted")
        yield Answer(_said(branch, body), after, ballot("yes") if vote is Vote.YES else no)
    yield Answer("is late", branch, ballot("no"))
    yield from _given_up(rules, branch)
    if not rules.knows_participant:
        yield Answer("does not know the participant", branch, ballot("no, aborted"))


def _pivot(rules: Rules, branch: Branch) -> Iterator[Answer]:
    """As `_tcc`, but for a no that may only be said once nothing can have been done."""
    for answer in _tcc(rules, branch):
        late = answer.words == "is late" and rules.looks_before_no
        yield answer._replace(then=Handler(At.REFUSED)) if late else answer


def _one_phase(rules: Rules, branch: Branch) -> Iterator[Answer]:
    refused = branch.local is Local.IDLE and rules.buries_before_no
    for body in Vote:
        after, vote = _body(rules, branch, body)
        words = _said(branch, body)
        if vote is Vote.YES:
            committed = _committed(rules, after)
            yield Answer(f"{words}, commits", committed, ballot("yes, committed"))
            yield Answer(f"{words}, commits with signatures", committed, ballot("yes"))
        elif vote is Vote.READ_ONLY:
            yield Answer(words, after, ballot("read only"))
        else:
            yield Answer(words, after, Handler(At.REFUSED) if refused else ballot("no, aborted"))
    yield Answer("is late", branch, Handler(At.REFUSED))
    yield from _given_up(rules, branch)
    if not rules.knows_participant:
        yield Answer("does not know the participant", branch, ballot("no, aborted"))


def last_answers(rules: Rules, branch: Branch) -> Iterator[tuple[str, Branch, str]]:
    """What a last agent's body leads to: the words, the branch if it commits, and the ballot."""
    if branch.local is not Local.IDLE:
        return  # an earlier attempt has decided, or a tombstone refuses it
    for body in Vote:
        after, vote = _body(rules, branch, body)
        if vote is Vote.YES:
            committed = _committed(rules, after)
            yield "body says yes, commits", committed, "yes, committed"
            yield "body says yes, commits with signatures", committed, "yes"
        else:
            ballots = {Vote.NO: "no, aborted", Vote.READ_ONLY: "read only"}
            yield _said(branch, body), after, ballots[vote]


def burials(rules: Rules, branch: Branch) -> Answer:
    """A refused body puts its tombstone, or finds what another attempt has left."""
    if branch.local in (Local.PREPARED, Local.DONE):
        return Answer("finds it reserved", branch, ballot("yes"))
    after, actual = rules.finish(branch.local, Outcome.ABORTED, branch.kind)
    if actual is Actual.HEURISTIC_COMMIT:
        return Answer("finds its witness", branch, ballot("yes"))
    return Answer("tombstone", branch._replace(local=after, buried=True), ballot("no, aborted"))


def _given_up(rules: Rules, branch: Branch) -> Iterator[Answer]:
    """After too many attempts, as a refusal unless an earlier attempt has left its work."""
    words = "gives up after too many attempts"
    if rules.gives_up and rules.looks_before_no:
        found = burials(rules, branch)
        yield found._replace(words=f"{words}, {found.words}")
    elif rules.gives_up:
        yield Answer(words, branch, ballot("no"))


def endings(rules: Rules, branch: Branch, outcome: Outcome, *, orphan: bool) -> Answer:
    """The first step of finishing: all of it, or an xa rollback whose tombstone is to come."""
    two_steps = branch.kind.mode is Mode.XA and branch.local is Local.PREPARED
    if outcome is Outcome.ABORTED and two_steps:
        then = At.ORPHAN_ROLLED_BACK if orphan else At.ROLLED_BACK
        return Answer("rolled back", branch._replace(local=Local.IDLE), Handler(then))
    after, actual = _finished(rules, branch, outcome)
    return Answer(f"{outcome} in its database", after, None if orphan else _ended(actual))


def burials_after_rollback(rules: Rules, branch: Branch, *, orphan: bool) -> Answer:
    """The second step of an xa abort."""
    if branch.local is Local.PREPARED:
        return Answer("is busy again", branch, None)
    after, _ = _finished(rules, branch, Outcome.ABORTED)
    return Answer("tombstone", after, None if orphan else _ended(Actual.ABORTED))


def _ended(actual: Actual) -> Handler:
    return Handler(At.ENDED, actual)


def _finished(rules: Rules, branch: Branch, outcome: Outcome) -> tuple[Branch, Actual]:
    local, actual = rules.finish(branch.local, outcome, branch.kind)
    if local is Local.COMMITTED and branch.local is not Local.COMMITTED:
        return _applied(branch), actual
    if local is Local.DONE and branch.local is not Local.DONE:
        return _acted(branch), actual
    buried = branch.buried or local is Local.TOMBSTONE
    empty = branch.local is Local.IDLE
    if branch.local is Local.DONE and local is Local.TOMBSTONE:
        branch = branch._replace(applied=0, undone=True)
    if local is Local.TOMBSTONE and not (rules.buries and (rules.buries_empty or not empty)):
        local = Local.IDLE
    return branch._replace(local=local, buried=buried), actual


def _body(rules: Rules, branch: Branch, body: Vote) -> tuple[Branch, Vote]:
    local, vote = rules.prepare(branch.local, body, branch.kind)
    if local is Local.DONE and branch.local is not Local.DONE:
        return _acted(branch), vote
    ran = branch.local is Local.IDLE or local is not branch.local
    fault = BODY_AFTER_TOMBSTONE if ran and branch.buried else branch.fault
    return branch._replace(local=local, fault=fault), vote


def _acted(branch: Branch) -> Branch:
    """The action of a step is done, for everybody to see."""
    fault = branch.fault
    if branch.buried:
        fault = BODY_AFTER_TOMBSTONE
    elif branch.applied:
        fault = APPLIED_TWICE
    return branch._replace(local=Local.DONE, applied=branch.applied + 1, fault=fault)


def _committed(rules: Rules, branch: Branch) -> Branch:
    if branch.local is Local.COMMITTED:
        return branch
    local, _ = rules.finish(branch.local, Outcome.COMMITTED, branch.kind)
    assert local is Local.COMMITTED
    return _applied(branch)


def _applied(branch: Branch) -> Branch:
    fault = APPLIED_TWICE if branch.applied else branch.fault
    return branch._replace(local=Local.COMMITTED, applied=branch.applied + 1, fault=fault)


def _said(branch: Branch, body: Vote) -> str:
    if branch.local is Local.IDLE:
        return f"body says {body}"
    return f"finds it {branch.local}"
