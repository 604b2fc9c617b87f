"""What operators may do to transactions, always through the register and always recorded."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.exceptions import InvalidArgument
from coordination.intervening.reasons import require_actor, require_reason
from coordination.kernel.gids import is_gid
from coordination.transactions import breakers, kept, orphans, runner
from coordination.transactions.branches.answer import InDoubt
from coordination.transactions.coordinator import store
from coordination.transactions.types import Outcome

logger = logging.getLogger(__name__)


RETRIED_AT_ONCE = 200

MAKE_DUE = """
WITH t AS (
    UPDATE concord_transaction SET next_at = clock_timestamp(), attempts = 0
    WHERE gid = %s AND ended_at IS NULL RETURNING gid
)
UPDATE concord_branch b SET next_at = NULL FROM t
WHERE b.transaction_id = t.gid AND b.actual IS NULL"""


# The auditor has seldom not found it yet; its finding is then the same row, and acknowledged.
ACKNOWLEDGE_BRANCHES = """
INSERT INTO concord_violation AS v (verdict, gid, branch_seq, kind, sentence, evidence, found_at,
    acknowledged_at, acknowledged_by, acknowledged_reason)
SELECT 'atomicity', b.transaction_id, b.seq, 'heuristic', b.participant || ' ended as ' || b.actual,
    jsonb_build_object('actual', b.actual, 'reason', b.reason), clock_timestamp(),
    clock_timestamp(), x.actor, x.reason
FROM concord_branch b, (VALUES (%s, %s)) AS x(actor, reason)
WHERE b.transaction_id = %s AND starts_with(b.actual, 'heuristic')
ON CONFLICT (verdict, gid, branch_seq, kind) DO UPDATE SET acknowledged_at = clock_timestamp(),
    acknowledged_by = excluded.acknowledged_by, acknowledged_reason = excluded.acknowledged_reason
WHERE v.acknowledged_at IS NULL RETURNING v.id"""
ACKNOWLEDGE_OTHERS = """
UPDATE concord_violation SET acknowledged_at = clock_timestamp(), acknowledged_by = %s,
    acknowledged_reason = %s
WHERE verdict = 'atomicity' AND gid = %s AND acknowledged_at IS NULL RETURNING id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What came of an operator's wish. The register may have held another outcome already."""

    gid: str
    outcome: Outcome
    changed: bool


def retry_now(gids: Sequence[str], *, actor: str, reason: str) -> int:
    """Send what unfinished transactions wait for, now; returns how many there were.

    Raises InvalidArgument without a reason of at least ten characters.
    """
    require_reason(reason)
    known = [snapshot for snapshot in store().snapshots(gids) if not snapshot.ended]
    for snapshot in known:
        database.run(store().using, Statement(MAKE_DUE, (snapshot.gid,)))
        _record(snapshot.gid, "retry", actor=actor, reason=reason)
        try:
            runner.advance(snapshot.gid, resend=True)
        except InDoubt as error:  # its register does not answer; others may go on
            logger.warning("transaction %s is not brought forward: %s", snapshot.gid, error)
    return len(known)


def retry_all_now(*, actor: str, reason: str) -> int:
    """After an outage: let every process try its participants again, and send all that waits.

    Returns how many transactions waited. Raises as `retry_now`.
    """
    require_reason(reason)
    breakers.reset_all(store().using)
    done, after = 0, ""
    while gids := store().unfinished(after=after, limit=RETRIED_AT_ONCE):
        done += retry_now(gids, actor=actor, reason=reason)
        after = gids[-1]
    return done


def resolve(gid: str, *, outcome: str, actor: str, reason: str) -> Resolution:
    """Decide a transaction in doubt by an operator's word.

    It asks the register like everybody else, so it can never contradict a decision that was made
    meanwhile; the answer tells which outcome holds. A commit needs every vote.

    Raises InvalidArgument for an unknown transaction or outcome, a missing reason, or a commit
    without all votes.
    """
    require_reason(reason)
    wish = _outcome(outcome)
    words = f"resolved by {actor}: {reason}"
    standing = runner.decide(gid, wish, reason=words, force=True, by=actor) if is_gid(gid) else None
    if standing is None:
        raise InvalidArgument(f"no transaction {gid!r:.80} is known: never begun, or forgotten.")
    if standing.outcome is None:
        raise InvalidArgument(
            f"{gid} cannot be committed: {standing.pending} votes are missing. It can be aborted.",
            name=gid,
        )
    _record(gid, "commit" if wish is Outcome.COMMITTED else "abort", actor=actor, reason=reason)
    runner.advance(gid, resend=True)
    return Resolution(gid=gid, outcome=standing.outcome, changed=standing.decided_now)


def acknowledge(gid: str, *, actor: str, reason: str) -> int:
    """Say that a person has put right what ended otherwise than decided; returns what was open.

    Until then the transaction shows as stuck, its violations are open, and it is not forgotten.

    Raises InvalidArgument without a reason, for a transaction that is unknown or has not ended, and
    for one that has nothing to acknowledge.
    """
    require_actor(actor)
    require_reason(reason)
    standing = store().standing(gid) if is_gid(gid) else None
    if standing is None or not standing.ended:
        raise InvalidArgument(f"{gid!r:.80} is no transaction that has ended here.")
    told, marked = database.run(
        store().using,
        Statement(ACKNOWLEDGE_BRANCHES, (actor, reason, gid)),
        Statement(ACKNOWLEDGE_OTHERS, (actor, reason, gid)),
    )
    open_before = len(told.rows) + len(marked.rows)
    if not open_before:
        raise InvalidArgument(f"{gid} has nothing that nobody has acknowledged.", name=gid)
    _record(gid, "acknowledge", actor=actor, reason=reason)
    return open_before


def resolve_orphan(gid: str, *, outcome: str, actor: str, reason: str) -> int:
    """End what is prepared or held for a transaction that has no row any more; returns how many.

    Nothing but a person can decide these: without a row there is no outcome to be read. What is
    held can only be let go, since the messages and amounts were in the rows.

    Raises InvalidArgument when the transaction has a row, without a reason, or for a commit of one
    that holds room in stores.
    """
    require_reason(reason)
    wish = _outcome(outcome)
    if store().standing(gid) is not None:
        raise InvalidArgument(f"{gid} has a row; resolve it through its register.", name=gid)
    left = [
        branch
        for using in orphans.aliases()
        for branch in orphans.prepared(using)
        if branch.gid == gid
    ]
    held = [hold for hold in kept.holds()[0] if hold.gid == gid]
    if held and wish is Outcome.COMMITTED:
        raise InvalidArgument(
            f"{gid} holds room in {held[0].kind} {held[0].name!r} on {held[0].store!r}, and what "
            "it was to do there went with its row: it can only be aborted.",
            name=gid,
        )
    logger.warning("orphan %s: %s by %s, %s", gid, wish, actor, reason)
    ended = sum(orphans.finish(branch, wish) for branch in left)
    return ended + sum(kept.let_go(hold) for hold in held)


def _record(gid: str, action: str, *, actor: str, reason: str) -> None:
    data = {"action": action, "reason": reason, "actor": actor}
    store().note(gid, "transaction.resolved", data=data, by=actor)


def _outcome(value: object) -> Outcome:
    try:
        return Outcome(value)  # type: ignore[arg-type]
    except ValueError:
        rule = "outcome must be 'committed' or 'aborted'"
        raise InvalidArgument(f"{rule}, not {value!r:.40}.") from None
