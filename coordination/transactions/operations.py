"""What operators may do to transactions, always through the register and always recorded."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.exceptions import InvalidArgument
from coordination.intervening.reasons import require_reason
from coordination.kernel.gids import is_gid
from coordination.transactions import orphans, runner
from coordination.transactions.coordinator import store
from coordination.transactions.types import Outcome

logger = logging.getLogger(__name__)


MAKE_DUE = """
WITH t AS (
    UPDATE concord_transaction SET next_at = clock_timestamp(), attempts = 0
    WHERE gid = %s AND ended_at IS NULL RETURNING gid
)
UPDATE concord_branch b SET next_at = NULL FROM t
WHERE b.transaction_id = t.gid AND b.actual IS NULL"""


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
        runner.advance(snapshot.gid, resend=True)
    return len(known)


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


def resolve_orphan(gid: str, *, outcome: str, actor: str, reason: str) -> int:
    """End prepared branches whose transaction has no row any more; returns how many were ended.

    Nothing but a person can decide these: without a row there is no outcome to be read.

    Raises InvalidArgument when the transaction has a row, or without a reason.
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
    logger.warning("orphan %s: %s by %s, %s", gid, wish, actor, reason)
    return sum(orphans.finish(branch, wish) for branch in left)


def _record(gid: str, action: str, *, actor: str, reason: str) -> None:
    data = {"action": action, "reason": reason, "actor": actor}
    store().note(gid, "transaction.resolved", data=data, by=actor)


def _outcome(value: object) -> Outcome:
    try:
        return Outcome(value)  # type: ignore[arg-type]
    except ValueError:
        rule = "outcome must be 'committed' or 'aborted'"
        raise InvalidArgument(f"{rule}, not {value!r:.40}.") from None
