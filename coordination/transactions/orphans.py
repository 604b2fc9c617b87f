"""Prepared transactions that nobody seems to be going to finish.

Read in the order prepared → rows → prepared again (after Citus' transaction recovery): what is
prepared in both readings while its register is set, and old enough that no finish is under way, is
finished as the register says. What has no row is left alone: absence is no decision.
"""

import logging
from dataclasses import dataclass, replace

from django.db import connections

from coordination import conf
from coordination.connections import database
from coordination.connections.database import UNREACHABLE, Statement, StatementRefused
from coordination.exceptions import CoordinationError
from coordination.kernel.gids import Electorate, electorate_of, parse_branch_gid
from coordination.kernel.settings import DATABASE
from coordination.transactions import finishing
from coordination.transactions.branches import precommit, xa
from coordination.transactions.branches.answer import NOT_NOW
from coordination.transactions.coordinator import store
from coordination.transactions.participants import registered
from coordination.transactions.registers import alone
from coordination.transactions.types import Form, Mode, Outcome, Snapshot, Work

logger = logging.getLogger(__name__)

MIN_AGE_S = 10
ALONE_AGE_S = 2
"""The same while the coordinator's database does not answer, so that no message finishes anything.
"""
GIVE_UP_S = 30
"""Age of a branch at which an outcome is asked for without the coordinator's rows, which alone know
the deadline."""
PREPARED = """
SELECT gid, extract(epoch FROM clock_timestamp() - prepared)::float FROM pg_prepared_xacts
WHERE database = current_database() AND starts_with(gid, %s)
    AND clock_timestamp() - prepared >= %s * interval '1 second'
ORDER BY prepared LIMIT 1000"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One prepared branch of this node, seen in a database."""

    using: str
    branch_gid: str
    gid: str
    seq: int
    age_s: float
    electorate: Electorate | None = None


def sweep(*, min_age_s: float = MIN_AGE_S) -> int:
    """Finish decided branches left prepared; returns how many. Skips what it cannot reach."""
    return sum(_sweep_alias(using, min_age_s) for using in aliases())


def aliases() -> list[str]:
    """Databases in which branches of this node may be prepared."""
    used = {entry.using for entry in registered().values() if entry.mode is Mode.XA}
    # Where messages are published and counters added to as a part of transactions.
    stores = conf.current().stores.values()
    used |= {store.using for store in stores if store.backend == DATABASE}
    return sorted(
        using
        for using in used
        if using in connections and connections[using].vendor == "postgresql"
    )


def prepared(using: str, *, min_age_s: float = 0) -> list[Prepared]:
    """Branches of this node that are prepared in a database for at least `min_age_s`."""
    rows = database.run(using, Statement(PREPARED, (f"cc:{conf.current().node}-", min_age_s)))[
        0
    ].rows
    found = []
    for branch_gid, age_s in rows:
        parsed = parse_branch_gid(branch_gid)
        if parsed is not None:
            gid, seq = parsed
            found.append(
                Prepared(
                    using=using,
                    branch_gid=branch_gid,
                    gid=gid,
                    seq=seq,
                    age_s=age_s,
                    electorate=electorate_of(branch_gid),
                )
            )
    return found


def _sweep_alias(using: str, min_age_s: float) -> int:
    try:
        before = prepared(using, min_age_s=min(min_age_s, ALONE_AGE_S))
        if not before:
            return 0
        try:
            snapshots = {one.gid: one for one in store().snapshots({each.gid for each in before})}
        except UNREACHABLE as error:
            logger.warning("the coordinator's database is not to be reached: %s", error)
            return sum(_finish_alone(each) for each in before)
        still = {each.branch_gid for each in prepared(using, min_age_s=min_age_s)}
        left = [each for each in before if each.branch_gid in still]
        return sum(_finish(each, snapshots.get(each.gid)) for each in left)
    except (StatementRefused, *UNREACHABLE) as error:
        logger.warning("cannot look for orphans in %s: %s", using, error)
        return 0


def _finish(orphan: Prepared, snapshot: Snapshot | None) -> bool:
    if snapshot is None or snapshot.outcome is None or orphan.seq > len(snapshot.branches):
        return False
    branch = snapshot.branches[orphan.seq - 1]
    if branch.finished:
        return finish(orphan, snapshot.outcome)
    # Decided long ago, and no message ended it: perhaps nobody consumes them. This needs no code
    # of a participant's, so its locks need not wait for a worker.
    work = replace(_work(orphan), after_commit=branch.after_commit)
    finishing.conclude([work], snapshot.outcome)
    return True


def _finish_alone(orphan: Prepared) -> bool:
    """End a branch by the quorum that decides it, while nobody can read the rows."""
    if orphan.electorate is None:
        return False
    try:
        outcome = alone.outcome(orphan.gid, orphan.electorate)
        if outcome is None and orphan.age_s >= GIVE_UP_S:
            known = precommit.noted(orphan.using, orphan.branch_gid)
            outcome = alone.settled(orphan.gid, orphan.electorate, precommitted=known)
    except CoordinationError as error:
        logger.warning("orphan %s: its registers cannot be read: %s", orphan.branch_gid, error)
        return False
    return outcome is not None and finish(orphan, outcome)


def finish(orphan: Prepared, outcome: Outcome) -> bool:
    """End a prepared branch here and now. False: it is busy or could not be reached."""
    try:
        result = xa.finish(_work(orphan), outcome)
    except NOT_NOW as error:
        logger.warning("orphan %s not finished: %s", orphan.branch_gid, error)
        return False
    logger.warning("orphan %s was left prepared and is now %s", orphan.branch_gid, result.actual)
    return True


def _work(orphan: Prepared) -> Work:
    return Work(
        gid=orphan.gid,
        seq=orphan.seq,
        participant="",
        using=orphan.using,
        mode=Mode.XA,
        form=Form.PREPARE,
        electorate=orphan.electorate,
    )
