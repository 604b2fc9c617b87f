"""`distributed_transaction`: what users call to begin, follow and cancel a transaction."""

import hashlib
import secrets
import time
from collections.abc import Iterable
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from celery import Signature, Task

from coordination import conf
from coordination.exceptions import InvalidArgument, TransactionAborted
from coordination.kernel import durations, gids, names
from coordination.transactions import inline, messages, plan, runner
from coordination.transactions.coordinator import identity
from coordination.transactions.effects import Effects
from coordination.transactions.following import Following
from coordination.transactions.mailbox import process_mailbox
from coordination.transactions.options import (
    check_names,
    key_of,
    protocol_of,
    refuse_atomic,
    refuse_waiting_worker,
    register_of,
    then_payload,
)
from coordination.transactions.ordering import Order, Rank, Step
from coordination.transactions.plan import Enlisted
from coordination.transactions.threads import in_thread
from coordination.transactions.types import ROW, NewTransaction, Outcome, Protocol, Standing

if TYPE_CHECKING:
    from coordination.counters.api import Counter
    from coordination.queues.api import Queue

Seconds = float | timedelta
Until = Literal["decided", "applied"]

BRANCHES_MAX = 64
GRACE_MS = 5_000
"""How long after its deadline a waiter still expects the sweeper's decision."""


class DistributedTransaction:
    """A transaction being built, then followed. Made by `distributed_transaction`."""

    def __init__(
        self,
        name: str,
        *,
        protocol: str = "2pc",
        deadline: Seconds,
        key: str | None = None,
        wait: bool = True,
        then: "Signature[Any] | Task[..., Any] | None" = None,
        register: str | None = None,
    ) -> None:
        settings = conf.current()
        self.name = names.validate_name(name, what="transaction name")
        self._protocol = protocol_of(protocol)
        self._deadline_ms = durations.to_ms(deadline, what="deadline")
        self._key = key_of(key)
        self._wait = wait
        self._then = then_payload(then)
        self._register = register_of(register, self._protocol)
        self._node = settings.node
        self._enlisted: list[Enlisted] = []
        self._open = True
        self.gid = (
            gids.make_gid(self._node, int(time.time()), secrets.token_bytes(8))
            if self._key is None
            else gids.keyed_gid(self._node, self.name, self._key)
        )
        self._following = Following(gid=self.gid, name=self.name)
        self._effects = Effects(self.gid, check=self._check_effect)
        self._order = Order(self.gid) if self._protocol is Protocol.SAGA else None

    # Building

    def enlist(
        self,
        participant: str,
        /,
        *,
        after: Iterable[Step] | None = None,
        pivot: bool = False,
        **args: Any,
    ) -> Step:
        """Add a branch: `participant` is to be run with `args` (JSON, at most 64 KiB).

        In a saga it is a step. `after`: the steps it comes after, as `enlist` returned them; as a
        rule the one before, with `[]` none. `pivot`: the point of no return: asked when all is done
        that does not come after it; its yes commits, and what comes after it is done until it
        succeeds.

        Raises InvalidArgument, UnknownParticipant before anything is sent.
        """
        self._require_open()
        enlisted = plan.enlisted(participant, args)
        place = plan.step(enlisted, self._order, after, pivot=pivot)
        if enlisted in self._enlisted:
            raise InvalidArgument(
                f"participant {participant!r} is enlisted already with these arguments.",
                name=participant,
            )
        self._require_room(1)
        if self._wait and not enlisted.inline:
            refuse_waiting_worker(participant)
        refuse_atomic(enlisted.using, f"participant {participant!r}")
        self._enlisted.append(enlisted)
        if self._order is not None:
            return self._order.add(place, pivot=pivot)
        return Step(self.gid, len(self._enlisted))

    def publish(
        self, queue: "str | Queue", body: Any, *, using: str | None = None, **options: Any
    ) -> str:
        """Publish a message if and only if this transaction commits; returns its id.

        `options` are those of `queue.publish`: `headers`, `priority`, `delay`, `eta`, `group`,
        `dedup_id`, `expires`; delays and lives begin with the commit. A queue that is full or
        paused when the branch prepares aborts the transaction; what was prepared is published.

        Raises as `queue` and its `publish` for bad input; nothing is sent before `submit`.
        """
        self._require_open()
        return self._effects.publish(queue, body, using=using, options=options)

    def add(self, counter: "str | Counter", amount: int = 1, **options: Any) -> None:
        """Add to a counter if and only if this transaction commits; several make one sum.

        `options` are those of `counter`. An addition that might cross a bound, with what other
        open transactions may add, aborts the transaction; one that was prepared is made.

        Raises as `counter` and its `add` for bad input; nothing is sent before `submit`.
        """
        self._require_open()
        self._effects.add(counter, amount, options=options)

    def submit(self) -> str:
        """Make the transaction durable and start it; return its gid. Does not wait for others.

        Branches that live in this process are run before it returns. After an error that says
        *unknown*, a transaction with a `key` may be submitted again.

        Raises InvalidArgument when it is empty, closed, inside `atomic()`, or its key was used with
        other arguments; StoreUnavailable or OutcomeUnknown from the coordinator's database.
        """
        self._submit()
        return self.gid

    def cancel(self, reason: str = "cancelled by its caller") -> str | None:
        """Abort unless it is decided already. Returns the outcome, None if it was not submitted."""
        if self._open:
            self._open = False
            return None
        standing = runner.decide(self.gid, Outcome.ABORTED, reason=reason)
        if standing is not None and standing.decided_now:
            runner.advance(self.gid)
        return standing.outcome if standing is not None else None

    def result(self, until: Until = "decided", wait: Seconds = 10) -> str:
        """Wait until it is decided (or applied everywhere) and return "committed" or "aborted".

        Raises OutcomeUnknown after `wait` seconds, or when its rows are gone.
        """
        if until not in ("decided", "applied"):
            raise InvalidArgument(f"until must be 'decided' or 'applied', not {until!r}.")
        due = time.monotonic() + durations.to_ms(wait, what="wait", zero=True) / 1000
        if until == "applied":
            return self._following.applied(due)
        decision = self._following.decided(due)
        if decision is None:
            raise self._following.unknown()
        return decision.outcome.value

    # Context managers

    def __enter__(self) -> Self:
        self._require_open()
        self._refuse_atomic_coordinator()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._open = False
        elif not self._wait:
            self._submit()
        else:
            self._submit_and_wait()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await in_thread(self.__exit__, kind, error, trace)

    async def asubmit(self) -> str:
        """Async twin of `submit`; inline branches run in one thread of their own."""
        return await in_thread(self.submit)

    async def aresult(self, until: Until = "decided", wait: Seconds = 10) -> str:
        """Async twin of `result`."""
        return await in_thread(self.result, until, wait)

    # Inside

    def _submit_and_wait(self) -> None:
        due = time.monotonic() + (self._deadline_ms + GRACE_MS) / 1000
        if all(part.inline for part in self._parts):
            self._submit()
            decision = self._following.decided(due)
        else:
            with process_mailbox().expect(self.gid) as expectation:
                self._submit()
                poll = self._following.poll
                decision = self._following.known() or expectation.wait(until=due, poll=poll)
        if decision is None:
            raise self._following.unknown()
        if decision.outcome is Outcome.ABORTED:
            raise TransactionAborted(
                f"transaction {self.name!r} ({self.gid}) was aborted: {decision.reason}",
                gid=self.gid,
                name=self.name,
                reason=decision.reason,
            )

    def _submit(self) -> None:
        self._require_open()
        self._refuse_atomic_coordinator()
        if not self._parts:
            raise InvalidArgument(f"transaction {self.name!r} is empty: enlist participants first.")
        new = self._new()
        beginning = inline.Beginning(new)
        if new.key is not None and not self._begins(beginning):
            return
        try:
            self._run(beginning)
        finally:
            self._open = beginning.begun is None

    def _begins(self, beginning: inline.Beginning) -> bool:
        """Whether this call is the one that begins what the key names."""
        new, begun = beginning.new, beginning.confirm()
        self._open = False
        if not begun.created:
            self._attach(begun.digest, new.digest, begun.outcome, begun.reason)
        return begun.created

    def _run(self, beginning: inline.Beginning) -> None:
        """Ask the others, run what lives here; much of it while the rows go to the disk."""
        new = beginning.new
        if inline.may_begin_before(new):
            beginning.send()
            messages.send_first(new, foreign=False)
        elif not all(branch.inline for branch in new.branches):
            beginning.confirm()
            messages.send_first(new, foreign=False)
        if any(branch.node != new.node for branch in new.branches):
            beginning.confirm()
            messages.send_first(new, foreign=True)
        self._following.standing = inline.run(beginning)

    def _new(self) -> NewTransaction:
        using = conf.current().transactions.using
        # A commit that decides by itself decides in the row, and after the votes.
        whole = self._register != ROW or self._protocol is Protocol.THREE_PHASE
        branches = plan.branches(self._parts, coordinator=using, ranks=self._ranks, whole=whole)
        inline_only = all(branch.inline for branch in branches)
        new = NewTransaction(
            gid=self.gid,
            name=self.name,
            protocol=self._protocol,
            node=self._node,
            key=self._key,
            digest="" if self._key is None else self._digest(),
            deadline_ms=self._deadline_ms,
            patience_ms=conf.current().transactions.patience_ms,
            mailbox="" if inline_only else process_mailbox().address,
            then_signature=self._then,
            branches=branches,
            by=identity(),
            register=self._register,
            period=None if self._register == ROW else int(time.time() // 86_400),
        )
        self._following.electorate = new.electorate
        return new

    def _digest(self) -> str:
        parts = [self._protocol.value]
        parts += [f"{each.participant}\0{each.args_json}" for each in self._parts]
        parts += map(repr, self._ranks or ())
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def _attach(self, stored: str, own: str, outcome: Outcome | None, reason: str) -> None:
        if stored != own:
            raise InvalidArgument(
                f"key {self._key!r} of transaction {self.name!r} was used with other branches or "
                "arguments; a key names one piece of work.",
                name=self.name,
            )
        self._following.standing = Standing(outcome=outcome, reason=reason)

    def _check_effect(self, enlisted: Enlisted, more: int) -> None:
        self._require_room(more)
        refuse_atomic(enlisted.using, enlisted.participant)

    def _require_room(self, number: int) -> None:
        if len(self._enlisted) + len(self._effects) + number > BRANCHES_MAX:
            raise InvalidArgument(f"a transaction has at most {BRANCHES_MAX} branches.")

    @property
    def _parts(self) -> list[Enlisted]:
        return [*self._enlisted, *self._effects.branches]

    @property
    def _ranks(self) -> list[Rank] | None:
        return None if self._order is None else self._order.ranks(len(self._effects))

    def _require_open(self) -> None:
        if not self._open:
            raise InvalidArgument(
                f"transaction {self.name!r} ({self.gid}) is closed: it was submitted or left.",
                name=self.name,
            )

    def _refuse_atomic_coordinator(self) -> None:
        refuse_atomic(conf.current().transactions.using, f"transaction {self.name!r}")


def distributed_transaction(name: str, **options: Any) -> DistributedTransaction:
    """Begin building a transaction; use it in `with`, or `enlist` and `submit`.

    Args:
        name: what it is for; groups it in pages and metrics.
        protocol: "2pc"; "saga": steps in an order, each seen at once, and compensated after an
            abort; "3pc", which tells all participants of the votes before the outcome; or "paxos":
            each vote lasts in the quorum of COORDINATION["CONSENSUS"], so that no single server
            can hold up the end.
        deadline: seconds until it aborts unless every participant has voted; 10, or what
            TRANSACTIONS["DEADLINE"] says.
        key: makes it idempotent: the same key and arguments are the same transaction, for as long
            as it is remembered (TRANSACTIONS["RETENTION"] after its end).
        wait: whether leaving the `with` block waits for the decision.
        then: a Celery signature to be sent after the decision with
            `{"ok", "gid", "code", "reason"}`, at least once.
        register: where the outcome is decided: "database", the coordinator's row; "paxos", the
            quorum; or the alias of a ZooKeeper or PostgreSQL store. By default what
            TRANSACTIONS["REGISTER"] says.

    Raises InvalidArgument, InvalidName.
    """
    check_names(options)
    options.setdefault("deadline", conf.current().transactions.deadline_ms / 1000)
    return DistributedTransaction(name, **options)
