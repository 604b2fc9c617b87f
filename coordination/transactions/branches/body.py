"""One attempt at a branch: its database transaction around a participant's body.

The steps are separate so that several branches can be under way at once: `open`, `enter`, `run`,
`seal`, `sealed`, `leave`; none of them raises for what happens in the database or in the body.
Between them the attempt keeps Django's `atomic()` open and holds back its commit, for only `seal`
may make the work durable, after the server has confirmed that it is still the transaction that was
entered.
"""

import json
import secrets
from contextlib import ExitStack, suppress

from django.db import DatabaseError, InterfaceError, connections, transaction

from coordination.connections import database
from coordination.connections.database import (
    UNREACHABLE,
    ConnectionLost,
    Exchange,
    Statement,
    StatementRefused,
)
from coordination.transactions.branches.answer import Busy, InDoubt, Refusal
from coordination.transactions.context import Context, VotedNo
from coordination.transactions.participants import Participant
from coordination.transactions.types import Work

ENTER = "SELECT concord_enter(%s, %s, %s)"
SEAL = "SELECT concord_seal(%s, %s, %s::jsonb, %s)"
COMMITTED_ITSELF = "SELECT current_setting('concord.committed', true) = %s"

WROTE_NOTHING = "CC004"
PREPARED, BUSY = "P", "B"
TIMEOUT_MS_MAX = 2**31 - 1
"""The largest timeout PostgreSQL takes: 24 days."""

_read_only: set[str] = set()
"""Participants whose last body wrote nothing: they are asked first, not refused with an error."""


class Unusable(DatabaseError):
    """The transaction may not be kept. A DatabaseError, so that Django rolls it back."""


class Attempt:
    """One run of a body. `kept` is set by the seal that made its work durable, and by nothing else.

    `found` tells what an earlier attempt left (a witness kind, or `PREPARED`): the body is not run
    then. `refusal` tells why there is no yes, `trouble` why there is no answer at all (Busy,
    InDoubt). `wrote` is False when there was nothing to keep.
    """

    def __init__(self, work: Work, participant: Participant) -> None:
        self.work = work
        self.participant = participant
        self.branch_gid = work.branch_gid
        self.context = Context(gid=work.gid, branch=self.branch_gid, remaining_ms=work.remaining_ms)
        self.found: str | None = None
        self.refusal: Refusal | None = None
        self.trouble: Busy | InDoubt | None = None
        self.ran = False
        self.wrote = True
        self.kept = False
        self._mark = f"{self.branch_gid}/{secrets.token_hex(6)}"
        self._entering: Exchange | None = None
        self._stack = ExitStack()

    @property
    def runs(self) -> bool:
        """Whether the body was run and nothing speaks against keeping it so far."""
        return self.ran and self.refusal is None and self.trouble is None

    # Steps

    def open(self) -> bool:
        """Open Django's transaction around the body; False, with the reason kept, if impossible."""
        using = self.work.using
        if database.in_transaction(using):
            self.refusal = Refusal(
                f"{using} is inside atomic() or has autocommit off: nothing can be prepared"
            )
            return False
        try:
            self._hold_commit()
            self._stack.enter_context(transaction.atomic(using=using, durable=True))
        except (DatabaseError, *UNREACHABLE) as error:
            self._doubt(error)
            return False
        return True

    def enter(self) -> None:
        """Ask the database for the branch, in the transaction that `open` has opened."""
        limit = f"{min(max(1, self.work.remaining_ms), TIMEOUT_MS_MAX)}ms"
        entering = Statement(ENTER, (self.branch_gid, self._mark, limit))
        self._entering = database.start(self.work.using, entering)

    def run(self) -> None:
        """Run the body once `enter` is answered, if nothing known of the branch forbids it."""
        if self._entering is None:
            return
        database.wait(self._entering)
        try:
            known = self._entering.replies()[0].rows[0][0]
            if known == BUSY:
                self.trouble = Busy(self.branch_gid)
            elif known is not None:
                self.found = known
            else:
                self.ran = True
                self.participant.body(self.context, **self.work.args)
                self._require_keepable()
        except Exception as error:  # noqa: BLE001 - a body may raise anything: that is its no
            self._refuse(error)

    def attempt(self) -> None:
        """Open, enter and run, where nothing else is under way."""
        if self.open():
            self.enter()
        self.run()

    def seal(self, *ending: Statement) -> Exchange:
        """Send the seal with the statements that make the work durable; `sealed` takes the answer.

        A participant that usually writes nothing is asked before, since the server logs a refusal.
        """
        assert self.runs
        if self.participant.name in _read_only:
            return database.start(self.work.using, self._seal(must=False))
        return database.start(self.work.using, self._seal(must=True), *ending)

    def sealed(self, sealing: Exchange, *ending: Statement) -> list[database.Reply]:
        """Take the answer to `seal`: sets `kept`, or `wrote` to False, or `refusal`.

        Returns the replies to `ending`, none unless it is kept.
        """
        try:
            replies = sealing.replies()
            if len(replies) == 1:
                if not replies[0].rows[0][0]:
                    return self._wrote_nothing()
                _read_only.discard(self.participant.name)
                replies += database.run(self.work.using, *ending)
        except StatementRefused as error:
            if error.sqlstate == WROTE_NOTHING:
                return self._wrote_nothing()
            self._refuse(error)
            return []
        except UNREACHABLE as error:
            self._doubt(error)  # it may be durable, or not
            return []
        self.kept = True
        return replies[1:]

    def leave(self) -> None:
        """Close the transaction as it is: kept, or rolled back."""
        if not self.kept:
            self.abandon()
            return
        self._stack.close()

    def abandon(self) -> None:
        """Roll back whatever is open. Safe to call at any time."""
        error = Unusable("not kept")
        with suppress(DatabaseError):
            self._stack.__exit__(Unusable, error, None)

    # Inside

    def _hold_commit(self) -> None:
        connection = connections[self.work.using]

        def commit() -> None:
            if not self.kept:
                raise Unusable("nothing made this branch durable")

        connection._commit = commit  # type: ignore[attr-defined]
        self._stack.callback(connection.__dict__.pop, "_commit", None)

    def _require_keepable(self) -> None:
        if self.context.refusal is not None:
            raise VotedNo(self.context.refusal)
        if self.context.remaining == 0:
            raise Unusable("its body returned after the deadline")
        connection = connections[self.work.using]
        if connection.needs_rollback:
            raise Unusable("its body marked the transaction for rollback")
        if connection.run_on_commit:
            raise Unusable(
                "its body used transaction.on_commit(), which would run before the decision; "
                "use ctx.after_commit()"
            )

    def _seal(self, *, must: bool) -> Statement:
        signatures = json.dumps(self.context.signatures) if self.context.signatures else None
        return Statement(SEAL, (self.branch_gid, self._mark, signatures, must))

    def _wrote_nothing(self) -> list[database.Reply]:
        _read_only.add(self.participant.name)
        self.wrote = False
        return []

    def _refuse(self, error: Exception) -> None:
        """Roll back, then ask the server whether the body had committed by itself before."""
        if isinstance(error, UNREACHABLE) or self._disconnected(error):
            self._doubt(error)
            return
        self.abandon()
        try:
            mark = Statement(COMMITTED_ITSELF, (self._mark,))
            rows = database.run(self.work.using, mark)[0].rows
        except UNREACHABLE as unreachable:
            self._doubt(unreachable)
            return
        if rows[0][0]:
            self.refusal = Refusal(
                "its body committed by itself; that work stays", committed_by_itself=True
            )
        else:
            self.refusal = Refusal(words(error))

    def _doubt(self, error: Exception) -> None:
        self.abandon()
        self.trouble = InDoubt(str(error))
        self.trouble.__cause__ = error

    def _disconnected(self, error: Exception) -> bool:
        if not isinstance(error, DatabaseError | InterfaceError) or isinstance(error, Unusable):
            return False
        connection = connections[self.work.using]
        return isinstance(database.translate(error, connection=connection), ConnectionLost)


def words(error: Exception) -> str:
    """Why a body is not kept, for its vote."""
    if isinstance(error, VotedNo | Unusable | StatementRefused):
        return str(error)
    return f"{type(error).__name__}: {error}"
