"""What a store of queues can do. Every verb is one atomic step, and safe to repeat by its `op`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from coordination.locks.bells import Bell
from coordination.queues.types import (
    Capability,
    Declaration,
    Found,
    Outgoing,
    Published,
    Seen,
    Settlement,
    State,
    Stats,
    Swept,
)


class QueueStore(Protocol):
    """The queues of one store alias.

    All raise StoreUnavailable (not applied) or OutcomeUnknown within the deadline; after an
    OutcomeUnknown the caller repeats the call with the same `op` and gets the first answer, for
    `kept_ms` where that is given and KEPT_MS where not. `op`s hold no space, dot or line's end.
    What `capabilities` lacks is never asked for: the API refuses it before. A store that forgot a
    queue's declaration (it was flushed) makes it anew by the one it is called with. Each change
    leaves an event in the same step, which names the ids of its messages.
    """

    alias: str
    deadline_ms: int
    """How long a call may take that names no deadline of its own."""
    capabilities: frozenset[Capability]
    database: str | None
    """Alias of the database whose transactions `publish` joins; None: it joins none."""

    def declare(self, name: str, given: Mapping[str, Any], *, replace: bool = False) -> Declaration:
        """What the queue is, made by `declaring.first` when nobody has used it.

        Raises InvalidArgument when it was declared otherwise (`declaring.agreed`), unless it is to
        be replaced (`declaring.changed`).
        """

    def publish(
        self,
        queue: Declaration,
        batch: Sequence[Outgoing],
        *,
        op: str,
        kept_ms: int,
        content: str = "",
        deadline_ms: int | None = None,
    ) -> list[Published]:
        """Put messages into the queue, all or none; returns when the store has them for sure.

        `content` is a digest of what is published: InvalidArgument when the `op` was called with
        another before. Inside `atomic()` of `database` it joins that transaction. Raises
        QueueFull, QueuePaused, Unroutable: nothing was put there.
        """

    def reserve(
        self,
        queue: Declaration,
        *,
        op: str,
        count: int,
        stay_ms: int = 0,
        kept_ms: int,
        deadline_ms: int | None = None,
    ) -> Found:
        """Take up to `count` messages for the queue's visibility, by priority and then in order.

        Each attempt is counted here, before anybody begins it. A suspect is taken alone. When there
        is none and `stay_ms` is not 0, a publication within that time rings `bell(op)`.
        A repetition gets the same messages, but for those that are settled by now.
        """

    def leave(self, queue: Declaration, *, op: str) -> None:
        """The `reserve` with this op waits no longer: if it was woken, another one is instead."""

    def settle(
        self,
        queue: Declaration,
        batch: Sequence[Settlement],
        *,
        op: str,
        kept_ms: int,
        deadline_ms: int | None = None,
    ) -> list[bool]:
        """Settle taken messages, each by itself; False for a receipt that is stale.

        A stale receipt (taken by somebody else meanwhile, settled, unknown) changes nothing, and
        leaves an event. One whose lease ended is good until the store gives the message away.
        """

    def extend(
        self,
        queue: Declaration,
        receipts: Sequence[str],
        *,
        lease_ms: int,
        deadline_ms: int | None = None,
    ) -> list[bool]:
        """Let leases begin anew and last `lease_ms`; False for a receipt that is stale."""

    def bell(self, queue: Declaration, op: str) -> AbstractContextManager[Bell]:
        """What rings when there may be a message for the `reserve` with this op."""

    def peek(self, queue: Declaration, *, state: State, limit: int) -> list[Seen]:
        """The first messages in a state, in the order in which they will be taken."""

    def move(
        self,
        source: Declaration,
        to: Declaration,
        *,
        op: str,
        limit: int,
        cursor: str | None,
        died_in: str | None = None,
        said: Mapping[str, str],
        deadline_ms: int | None = None,
    ) -> Swept:
        """Look through up to `limit` ready or delayed messages, and move what is to be moved.

        Args:
            source: the queue they are in.
            to: the queue they go to; they keep their ids, and their attempts begin anew.
            op: of this step.
            limit: at most BATCH_MAX.
            cursor: of the step before; None begins, with what is there then.
            died_in: only dead letters of that queue (a redrive); None: whatever is there.
            said: actor and reason, for the event.
            deadline_ms: how long it may take.
        """

    def purge(
        self,
        queue: Declaration,
        *,
        op: str,
        limit: int,
        cursor: str | None,
        said: Mapping[str, str],
        deadline_ms: int | None = None,
    ) -> Swept:
        """Throw away up to `limit` ready or delayed messages; a step as of `move`."""

    def pick(
        self,
        queue: Declaration,
        message: str,
        *,
        to: Declaration | None,
        op: str,
        died_in: str | None = None,
        said: Mapping[str, str],
        deadline_ms: int | None = None,
    ) -> bool:
        """Move one message, by its id, or throw it away (`to` None); arguments as of `move`.

        False when it is not there, or somebody has taken it. Raises QueueFull.
        """

    def pause(
        self, queue: Declaration, *, publishing: bool, consuming: bool, said: Mapping[str, str]
    ) -> None:
        """Refuse publications (QueuePaused), give out no messages; both False: go on."""

    def stats(self, queue: Declaration) -> Stats:
        """How it stands, by the store's own word."""

    def names(self) -> list[str]:
        """Queues that this store knows of, in order."""
