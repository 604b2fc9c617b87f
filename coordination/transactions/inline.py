"""Participants that live in the caller's process: same rows and code, no message.

If the process dies anywhere in here, the sweeper lets workers of this node finish.
"""

import logging
import time
from contextlib import suppress
from functools import partial

from coordination.connections import database
from coordination.connections.database import ConnectionLost, Exchange
from coordination.exceptions import StoreUnavailable
from coordination.failpoints import hit
from coordination.transactions import together
from coordination.transactions.branches.answer import NOT_NOW
from coordination.transactions.coordinator import store
from coordination.transactions.engine import Send
from coordination.transactions.stepping import Stepping
from coordination.transactions.together import Together
from coordination.transactions.types import (
    Begun,
    NewBranch,
    NewTransaction,
    Phase,
    Protocol,
    Standing,
    Work,
)

logger = logging.getLogger(__name__)


class Beginning:
    """The rows of a transaction on their way to the disk.

    Its caller's branches may be entered and their bodies run meanwhile. What has to wait for
    `confirm` is all that would outlast this process.
    """

    def __init__(self, new: NewTransaction) -> None:
        self.new = new
        self.begun: Begun | None = None
        self._sent: Exchange | None = None

    def send(self) -> None:
        """Send the rows, once. Raises StoreUnavailable if there is no connection for them."""
        if self._sent is None:
            hit("tx.begin.before")
            sent = store().start_begin(self.new)
            if isinstance(sent.error, StoreUnavailable):
                raise sent.error
            self._sent = sent

    def confirm(self) -> Begun:
        """Wait until they are durable, or say what stands under the gid already.

        Raises as `DatabaseStore.begin` does.
        """
        if self.begun is None:
            self.send()
            assert self._sent is not None
            database.wait(self._sent)
            try:
                self.begun = store().begun(self._sent)
            except ConnectionLost:
                if database.in_transaction(store().using):
                    raise  # a last agent's block is open on it; `run` leaves that and asks again
                self.begun = store().begin(self.new)
            hit("tx.begin.after")
        return self.begun


def may_begin_before(new: NewTransaction) -> bool:
    """Whether the rows may be on their way before any inline branch is entered.

    Not where one works on the coordinator's connection: its block has to be open by then.
    """
    using = store().using
    return all(branch.using != using for branch in new.branches if branch.inline)


def run(beginning: Beginning) -> Standing | None:
    """Run, vote and finish the inline branches of a transaction that is beginning, or has begun.

    Returns how the transaction stands then; None when it is left to the sweeper. Raises what
    `beginning` does; nothing lasts then.
    """
    if not any(branch.inline for branch in beginning.new.branches):
        beginning.confirm()
        return None
    if beginning.new.protocol is Protocol.SAGA:
        return _step(beginning)
    progress = _progress(beginning)
    try:
        together.vote(progress)
    except NOT_NOW as error:
        if beginning.begun is None:
            raise
        logger.warning("transaction %s goes on without its caller: %s", progress.gid, error)
    with suppress(*NOT_NOW):  # decided: whatever is left, a worker does
        together.follow(progress, here=False)
    return progress.standing


def _step(beginning: Beginning) -> Standing | None:
    """Take a saga as far as it lives here. An action is seen at once, so the rows come first."""
    new = beginning.new
    beginning.confirm()
    begun_at = time.monotonic()
    inline = {
        branch.seq: partial(_work, new, branch, since=begun_at)
        for branch in new.branches
        if branch.inline
    }
    asked = {Send(Phase.PREPARE, b.seq) for b in new.branches if not b.after and not b.inline}
    stepping = Stepping(
        gid=new.gid,
        mine=lambda branch: branch.seq in inline,
        at_hand=inline,
        afresh=True,
        taken=asked,
    )
    with suppress(*NOT_NOW):  # whatever is left, a worker does
        stepping.go_on()
    return stepping.standing


def _progress(beginning: Beginning) -> Together:
    new = beginning.new
    return Together(
        gid=new.gid,
        works=[_work(new, branch) for branch in new.branches if branch.inline],
        open=beginning.send,
        confirm=beginning.confirm,
    )


def _work(new: NewTransaction, branch: NewBranch, *, since: float | None = None) -> Work:
    """A branch for its first attempt; `since`: when its rows were seen, by the monotonic clock."""
    passed_ms = 0 if since is None else int((time.monotonic() - since) * 1000)
    return Work(
        gid=new.gid,
        seq=branch.seq,
        participant=branch.participant,
        using=branch.using,
        mode=branch.mode,
        form=branch.form,
        args=branch.args,
        remaining_ms=new.deadline_ms - passed_ms,
        protocol=new.protocol,
        electorate=new.electorate,
    )
