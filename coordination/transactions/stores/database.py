"""The coordinator's rows in PostgreSQL: the functions of migration 0002, one call each.

Each verb is one atomic attempt and idempotent, so after a lost reply it is asked once more: the
second answer is the first one's. Inside the caller's transaction (a last agent) it is not, because
the connection that broke took the caller's work with it.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from coordination.connections import database
from coordination.connections.database import ConnectionLost, Exchange, Statement
from coordination.kernel.gids import Electorate
from coordination.transactions.types import (
    Actual,
    Ballot,
    Begun,
    BranchState,
    Form,
    Mode,
    NewTransaction,
    Outcome,
    Protocol,
    Result,
    Snapshot,
    Standing,
    Vote,
    Work,
)

LAST_AGENT_REFUSED = "CC001"
REASON_LENGTH_MAX, ACTOR_LENGTH_MAX = 2_000, 100

BEGIN = "SELECT * FROM concord_begin(%s,%s,%s,%s,%s,%s,%s,%s,%s,%s::jsonb,%s::jsonb,%s,%s,%s)"
VOTE = "SELECT * FROM concord_vote(%s,%s::jsonb,%s,%s,%s)"
DECIDE = "SELECT * FROM concord_decide(%s,%s,%s,%s,%s,%s,%s)"
PRECOMMIT = "SELECT * FROM concord_precommit(%s,%s::int[],%s)"
FINISH = "SELECT * FROM concord_finish(%s,%s::jsonb,%s)"
NOTE = "SELECT concord_note(%s,%s,%s,%s::jsonb,%s,%s,%s)"
CLAIM = "SELECT * FROM concord_claim(%s,%s::int[])"
ARGUMENTS = "SELECT seq, args FROM concord_branch WHERE transaction_id = %s AND seq = ANY(%s)"
STANDING = """
SELECT outcome, reason, false, mailbox, pending, unfinished, ended_at IS NOT NULL, register, period,
    concord_electorate(t), NULL
FROM concord_transaction t WHERE gid = %s"""
LEASE_DUE = """
WITH due AS (
    SELECT gid FROM concord_transaction WHERE next_at <= clock_timestamp()
    ORDER BY next_at LIMIT %s FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE concord_transaction t SET
    attempts = t.attempts + 1,
    -- The deadline is a turn as well: until the abort, callers wait in vain.
    next_at = least(
        clock_timestamp() + interval '1 millisecond'
            * least(%s, %s * power(2, least(t.attempts, 16))) * (0.75 + random() / 2),
        CASE WHEN t.outcome IS NULL AND t.deadline_at > clock_timestamp() THEN t.deadline_at END)
FROM due WHERE t.gid = due.gid RETURNING t.gid"""
SNAPSHOTS = """
SELECT t.gid, t.node, t.protocol, t.outcome, t.deadline_at <= clock_timestamp(),
    t.ended_at IS NOT NULL, t.then_signature IS NOT NULL AND t.continued_at IS NULL,
    (extract(epoch FROM t.deadline_at - t.created_at) * 1000)::bigint,
    (extract(epoch FROM t.deadline_at - clock_timestamp()) * 1000)::bigint, t.register, t.period,
    b.seq, b.participant, b.node, b."using", b.mode, b.form, b.vote, b.actual,
    b.after_commit, b.precommitted_at IS NOT NULL, b.after,
    coalesce(b.next_at <= clock_timestamp(), true)
FROM concord_transaction t JOIN concord_branch b ON b.transaction_id = t.gid
WHERE t.gid = ANY(%s) ORDER BY t.gid, b.seq"""
# What has not ended has a turn: so this reads no more than there is to do.
UNFINISHED = """
SELECT gid FROM concord_transaction WHERE next_at IS NOT NULL AND gid > %s ORDER BY gid LIMIT %s"""
THEN_SIGNATURE = "SELECT then_signature FROM concord_transaction WHERE gid = %s"


class DatabaseStore:
    """Rows of transactions in one database alias. `by` names who acts, for the history."""

    def __init__(self, using: str, *, patience_ms: int) -> None:
        self.using = using
        self.patience_ms = patience_ms

    def begin(self, new: NewTransaction) -> Begun:
        """Make the transaction and its branches durable, or say what stands under its gid.

        Raises OutcomeUnknown (as ConnectionLost) when two attempts lost their reply.
        """
        statement = self._begin_statement(new)
        return _begun(self._ask(statement.sql, *statement.params))

    def start_begin(self, new: NewTransaction) -> Exchange:
        """Send what `begin` does, as a transaction of its own, without waiting for it."""
        return database.start(self.using, self._begin_statement(new), alone=True)

    def begun(self, beginning: Exchange) -> Begun:
        """The answer to `start_begin`. Raises ConnectionLost when one attempt lost its reply."""
        return _begun(beginning.replies()[0].rows)

    def _begin_statement(self, new: NewTransaction) -> Statement:
        branches = [
            {
                "seq": branch.seq,
                "participant": branch.participant,
                "node": branch.node,
                "using": branch.using,
                "mode": branch.mode,
                "form": branch.form,
                "args": branch.args,
                "after": branch.after,
            }
            for branch in new.branches
        ]
        then = json.dumps(new.then_signature) if new.then_signature is not None else None
        identity = (new.gid, new.name, new.protocol, new.node, new.key, new.digest)
        times = (new.deadline_ms, new.patience_ms)
        rest = (new.mailbox, then, json.dumps(branches), new.by, new.register, new.period)
        return Statement(BEGIN, (*identity, *times, *rest))

    def vote(
        self,
        gid: str,
        ballots: Sequence[Ballot],
        *,
        by: str,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> Standing | None:
        """Record first votes and the outcome they decide. None: the transaction is not here.

        `meanwhile` is called while the answer is awaited.
        """
        statement = self.vote_statement(gid, ballots, must_decide=False, by=by)
        voting = database.start(self.using, statement, alone=True)
        meanwhile()
        try:
            return standing_of(database.answered(voting).replies()[0].rows)
        except ConnectionLost:
            return standing_of(self._ask(statement.sql, *statement.params))

    def vote_statement(
        self, gid: str, ballots: Sequence[Ballot], *, must_decide: bool, by: str
    ) -> Statement:
        """The statement of `vote`, for a last agent to put before its own COMMIT.

        With `must_decide` the server refuses it unless these votes commit the transaction.
        """
        cast = [
            {
                "seq": ballot.seq,
                "vote": ballot.vote,
                "actual": ballot.actual,
                "reason": _storable(ballot.reason),
                "after_commit": ballot.after_commit,
            }
            for ballot in ballots
        ]
        return Statement(VOTE, (gid, json.dumps(cast), must_decide, self.patience_ms, by))

    def decide(
        self,
        gid: str,
        outcome: Outcome,
        *,
        reason: str,
        by: str,
        force: bool = False,
        held: bool = False,
    ) -> Standing | None:
        """Ask the register; the answer's outcome is the truth, None in it: not decidable yet.

        Or not decided here: `due` says what the register elsewhere is to be asked for. With `held`
        the outcome is what that holds.
        """
        why, who = _storable(reason), _storable(by)[:ACTOR_LENGTH_MAX]
        asked = (gid, outcome, why, force, self.patience_ms, who, held)
        return standing_of(self._ask(DECIDE, *asked))

    def precommitted(self, gid: str, seqs: Sequence[int], *, by: str) -> Standing | None:
        """Record which participants know that every vote is yes."""
        return standing_of(self._ask(PRECOMMIT, gid, list(seqs), by))

    def finish(self, gid: str, results: Sequence[Result], *, by: str) -> Standing | None:
        """Record how branches ended, after the decision."""
        return standing_of(self._ask(FINISH, gid, _results_json(results), by))

    def post_finish(self, gid: str, results: Sequence[Result], *, by: str) -> None:
        """Send what `finish` does and go on; if it is lost, the branches are finished again."""
        database.post(self.using, Statement(FINISH, (gid, _results_json(results), by)))

    def continued(self, gid: str, *, by: str) -> Standing | None:
        """Record that the continuation was handed to the broker."""
        return standing_of(self._ask(FINISH, gid, '[{"seq": 0}]', by))

    def note(
        self,
        gid: str,
        kind: str,
        *,
        seq: int = 0,
        data: dict[str, Any],
        by: str,
        error: str | None = None,
        retry_ms: int | None = None,
    ) -> bool:
        """Append an event that changes nothing but the history. False: not here."""
        told = {
            key: _storable(value) if isinstance(value, str) else value
            for key, value in data.items()
        }
        error = None if error is None else _storable(error)
        known = self._ask(NOTE, gid, kind, seq, json.dumps(told), error, retry_ms, _storable(by))[
            0
        ][0]
        return bool(known)

    def claim(self, gid: str, seqs: Sequence[int]) -> list[Work]:
        """Count an attempt at each branch and read what it needs; unknown ones are left out."""
        return [_work(gid, row) for row in self._ask(CLAIM, gid, list(seqs))]

    def arguments(self, gid: str, seqs: Sequence[int]) -> dict[int, dict[str, Any]]:
        """What branches were enlisted with, for a node that cannot read it here."""
        return {seq: _json(args) for seq, args in self._ask(ARGUMENTS, gid, list(seqs))}

    def standing(self, gid: str) -> Standing | None:
        """The register and counts as they are now."""
        return standing_of(self._ask(STANDING, gid))

    def snapshots(self, gids: Iterable[str]) -> list[Snapshot]:
        """Transactions as the engine sees them, in gid order; unknown ones are left out."""
        return _snapshots(self._ask(SNAPSHOTS, list(gids)))

    def lease_due(self, *, limit: int, base_ms: int, cap_ms: int) -> list[str]:
        """Take due transactions away from other sweepers until their next, later, turn.

        That turn comes after a jittered, doubling time between `base_ms` and `cap_ms`, and at the
        deadline of one that is undecided.
        """
        return [row[0] for row in self._ask(LEASE_DUE, limit, cap_ms, base_ms)]

    def unfinished(self, *, after: str, limit: int) -> list[str]:
        """Transactions that have not ended, in gid order, behind `after`."""
        return [row[0] for row in self._ask(UNFINISHED, after, limit)]

    def then_signature(self, gid: str) -> dict[str, Any] | None:
        """The continuation of a transaction, if it has one."""
        rows = self._ask(THEN_SIGNATURE, gid)
        return _json(rows[0][0]) if rows else None

    def _ask(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        statement = Statement(sql, params)
        try:
            return database.run(self.using, statement)[0].rows
        except ConnectionLost:
            if database.in_transaction(self.using):
                raise
            return database.run(self.using, statement)[0].rows


def standing_of(rows: list[tuple[Any, ...]]) -> Standing | None:
    """How a transaction stands, from the rows of a verb's statement."""
    if not rows:
        return None
    outcome, reason, decided_now, mailbox, pending, unfinished, ended, *where = rows[0]
    register, period, voters, due = where
    return Standing(
        outcome=Outcome(outcome) if outcome else None,
        reason=reason or "",
        decided_now=decided_now,
        mailbox=mailbox,
        pending=pending,
        unfinished=unfinished,
        ended=ended,
        register=register,
        period=period,
        electorate=_electorate(voters, period),
        due=Outcome(due) if due else None,
    )


def _electorate(branches: int | None, period: int | None) -> Electorate | None:
    if branches is None or period is None:
        return None
    return Electorate(branches=branches, period=period)


def _begun(rows: list[tuple[Any, ...]]) -> Begun:
    created, digest, outcome, reason = rows[0]
    return Begun(
        created=created,
        digest=digest,
        outcome=Outcome(outcome) if outcome else None,
        reason=reason or "",
    )


def _results_json(results: Sequence[Result]) -> str:
    return json.dumps(
        [
            {"seq": result.seq, "actual": result.actual, "reason": _storable(result.reason)}
            for result in results
        ]
    )


def _work(gid: str, row: tuple[Any, ...]) -> Work:
    seq, participant, using, mode, form, args, vote, actual, signed, *rest = row
    attempt, outcome, left, voters, period, _ = rest
    return Work(
        gid=gid,
        seq=seq,
        participant=participant,
        using=using,
        mode=Mode(mode),
        form=Form(form),
        args=_json(args),
        remaining_ms=left,
        attempt=attempt,
        protocol=Protocol(row[-1]),
        outcome=Outcome(outcome) if outcome else None,
        vote=Vote(vote) if vote else None,
        actual=Actual(actual) if actual else None,
        after_commit=signed,
        electorate=_electorate(voters, period),
    )


def _snapshots(rows: list[tuple[Any, ...]]) -> list[Snapshot]:
    branches: dict[str, list[BranchState]] = {}
    heads: dict[str, tuple[Any, ...]] = {}
    for row in rows:
        heads[row[0]] = row[:11]
        seq, participant, node, using, mode, form, vote, actual, signed, *rest = row[11:]
        precommitted, after, due = rest
        branches.setdefault(row[0], []).append(
            BranchState(
                seq=seq,
                participant=participant,
                node=node,
                using=using,
                mode=Mode(mode),
                form=Form(form),
                vote=Vote(vote) if vote else None,
                actual=Actual(actual) if actual else None,
                after_commit=signed,
                precommitted=precommitted,
                after=tuple(_json(after)),
                due=due,
            )
        )
    return [_snapshot(head, tuple(branches[gid])) for gid, head in heads.items()]


def _snapshot(head: tuple[Any, ...], branches: tuple[BranchState, ...]) -> Snapshot:
    gid, node, protocol, outcome, expired, ended, continue_due, *rest = head
    deadline_ms, left_ms, register, period = rest
    return Snapshot(
        gid=gid,
        node=node,
        protocol=Protocol(protocol),
        outcome=Outcome(outcome) if outcome else None,
        expired=expired,
        ended=ended,
        continue_due=continue_due,
        deadline_ms=deadline_ms,
        remaining_ms=left_ms,
        register=register,
        period=period,
        branches=branches,
    )


def _json(value: Any) -> Any:
    # Django teaches its connections to hand out jsonb as text.
    return json.loads(value) if isinstance(value, str) else value


def _storable(text: str) -> str:
    """Text of any origin as PostgreSQL takes it: no NUL, no lone surrogate, not without end."""
    whole = text[:REASON_LENGTH_MAX].replace("\x00", "\N{REPLACEMENT CHARACTER}")
    return whole.encode(errors="replace").decode()
