"""Deciding a transaction whose register is not its row: asked first, then copied into the row."""

from coordination.consensus.stores import registers_of
from coordination.consensus.types import Register
from coordination.exceptions import OutcomeUnknown, StoreUnavailable
from coordination.failpoints import hit
from coordination.transactions.coordinator import store
from coordination.transactions.registers import votes
from coordination.transactions.types import Outcome, Standing, Vote


def decide(gid: str, standing: Standing, *, reason: str, by: str) -> Standing | None:
    """Ask for what is `due`; returns how the row stands then.

    Raises StoreUnavailable, OutcomeUnknown, RegisterForgotten.
    """
    if standing.due is None:
        return standing
    if standing.electorate is not None and standing.electorate.branches:
        return _close(gid, standing, reason=reason, by=by)
    held = _held(gid, standing, standing.due)
    hit("tx.register.after")
    if held is not standing.due:
        reason = f"its register on {standing.register!r} held it already"
    try:
        return store().decide(gid, held, reason=reason, by=by, held=True)
    except StoreUnavailable as error:
        raise _untold(gid, error) from error


def _held(gid: str, standing: Standing, wish: Outcome) -> Outcome:
    assert standing.period is not None
    cell = Register(name=gid, period=standing.period)
    try:
        return Outcome(registers_of(standing.register).decide(cell, wish))
    except StoreUnavailable as error:
        if _has_no(gid):
            # Whoever asks the register next asks for the abort, so this is not undone.
            raise OutcomeUnknown(f"{gid} has a no, and its register waits: {error}") from error
        raise


def _has_no(gid: str) -> bool:
    found = store().snapshots([gid])
    return any(branch.vote is Vote.NO for snapshot in found for branch in snapshot.branches)


def _close(gid: str, standing: Standing, *, reason: str, by: str) -> Standing | None:
    """Write no for every vote that is missing; the one that is there since may win."""
    assert standing.electorate is not None
    for snapshot in store().snapshots([gid]):
        missing = [branch.seq for branch in snapshot.branches if branch.vote is None]
        ballots = votes.closed(gid, standing.electorate, missing, reason=reason)
        hit("tx.register.after")
        try:
            return store().vote(gid, ballots, by=by)
        except StoreUnavailable as error:
            raise _untold(gid, error) from error
    return None


def _untold(gid: str, error: StoreUnavailable) -> OutcomeUnknown:
    return OutcomeUnknown(f"registers hold the outcome of {gid}, its row was not told: {error}")
