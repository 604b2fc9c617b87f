"""`distributed_transaction`: what users call to begin, follow and cancel a transaction."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from celery import Signature, Task, current_task
from django.db import connections

from coordination import conf
from coordination.connections import database
from coordination.exceptions import (
    InvalidArgument,
    OutcomeUnknown,
    TransactionAborted,
)
from coordination.kernel import durations, gids, names, nearest
from coordination.transactions import inline, messages, plan, runner
from coordination.transactions.coordinator import identity, store
from coordination.transactions.mailbox import Decision, process_mailbox
from coordination.transactions.options import check_register, key_of, protocol_of, then_payload
from coordination.transactions.plan import Enlisted
from coordination.transactions.types import NewTransaction, Outcome, Standing

Seconds = float | timedelta
Until = Literal["decided", "applied"]
T = TypeVar("T")

BRANCHES_MAX = 64
GRACE_MS = 5_000
"""How long after its deadline a waiter still expects the sweeper's decision."""
APPLIED_POLL_MS = (10, 250)


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
        check_register(register)
        self._node = settings.node
        self._enlisted: list[Enlisted] = []
        self._open = True
        self._standing: Standing | None = None
        self.gid = (
            gids.make_gid(self._node, int(time.time()), secrets.token_bytes(8))
            if self._key is None
            else gids.keyed_gid(self._node, self.name, self._key)
        )

    # Building

    def enlist(self, participant: str, /, **args: Any) -> None:
        """Add a branch: `participant` is to be run with `args` (JSON, at most 64 KiB).

        Raises InvalidArgument, UnknownParticipant before anything is sent.
        """
        self._require_open()
        enlisted = plan.enlisted(participant, args)
        if enlisted in self._enlisted:
            raise InvalidArgument(
                f"participant {participant!r} is enlisted already with these arguments.",
                name=participant,
            )
        if len(self._enlisted) >= BRANCHES_MAX:
            raise InvalidArgument(f"a transaction has at most {BRANCHES_MAX} branches.")
        if self._wait and not enlisted.inline and _in_celery_task():
            raise InvalidArgument(
                f"wait=True inside a Celery task would hold its worker until {participant!r} has "
                "voted; pass wait=False and then=<signature> to go on after the decision.",
                name=participant,
            )
        _refuse_atomic(enlisted.using, f"participant {participant!r}")
        self._enlisted.append(enlisted)

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
            return self._applied(due)
        decision = self._known() or self._wait_for(due)
        if decision is None:
            raise self._unknown()
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
        if all(part.inline for part in self._enlisted):
            self._submit()
            decision = self._known() or self._wait_for(due)
        else:
            with process_mailbox().expect(self.gid) as expectation:
                self._submit()
                decision = self._known() or expectation.wait(until=due, poll=self._poll)
        if decision is None:
            raise self._unknown()
        if decision.outcome is Outcome.ABORTED:
            raise TransactionAborted(
                f"transaction {self.name!r} ({self.gid}) was aborted: {decision.reason}",
                gid=self.gid,
                name=self.name,
                reason=decision.reason,
            )

    def _wait_for(self, due: float) -> Decision | None:
        return process_mailbox().wait(self.gid, until=due, poll=self._poll)

    def _submit(self) -> None:
        self._require_open()
        self._refuse_atomic_coordinator()
        if not self._enlisted:
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
        self._standing = inline.run(beginning)

    def _new(self) -> NewTransaction:
        branches = plan.branches(self._enlisted, coordinator=conf.current().transactions.using)
        inline_only = all(branch.inline for branch in branches)
        return NewTransaction(
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
        )

    def _digest(self) -> str:
        parts = [self._protocol.value]
        parts += [f"{each.participant}\0{each.args_json}" for each in self._enlisted]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def _attach(self, stored: str, own: str, outcome: Outcome | None, reason: str) -> None:
        if stored != own:
            raise InvalidArgument(
                f"key {self._key!r} of transaction {self.name!r} was used with other branches or "
                "arguments; a key names one piece of work.",
                name=self.name,
            )
        self._standing = Standing(outcome=outcome, reason=reason)

    def _known(self) -> Decision | None:
        standing = self._standing
        if standing is None or standing.outcome is None:
            return None
        return Decision(outcome=standing.outcome, reason=standing.reason)

    def _poll(self) -> Decision | None:
        try:
            standing = store().standing(self.gid)
        except database.UNREACHABLE:
            return None  # keep waiting: the message or a later look may still come
        if standing is None or standing.outcome is None:
            return None
        self._standing = standing
        return self._known()

    def _applied(self, due: float) -> str:
        pause_ms, pause_ms_max = APPLIED_POLL_MS
        while True:
            try:
                standing = store().standing(self.gid)
            except database.UNREACHABLE:
                standing = None
            if standing is not None and standing.ended and standing.outcome is not None:
                return standing.outcome.value
            left_s = due - time.monotonic()
            if left_s <= 0:
                raise self._unknown()
            time.sleep(min(pause_ms / 1000, left_s))
            pause_ms = min(2 * pause_ms, pause_ms_max)

    def _unknown(self) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"transaction {self.name!r} ({self.gid}) has not been seen to end; it goes on without "
            "this caller. Ask again with result().",
            name=self.name,
        )

    def _require_open(self) -> None:
        if not self._open:
            raise InvalidArgument(
                f"transaction {self.name!r} ({self.gid}) is closed: it was submitted or left.",
                name=self.name,
            )

    def _refuse_atomic_coordinator(self) -> None:
        _refuse_atomic(conf.current().transactions.using, f"transaction {self.name!r}")


def distributed_transaction(name: str, **options: Any) -> DistributedTransaction:
    """Begin building a transaction; use it in `with`, or `enlist` and `submit`.

    Args:
        name: what it is for; groups it in pages and metrics.
        protocol: "2pc".
        deadline: seconds until it aborts unless every participant has voted; 10, or what
            TRANSACTIONS["DEADLINE"] says.
        key: makes it idempotent: the same key and arguments are the same transaction for ever.
        wait: whether leaving the `with` block waits for the decision.
        then: a Celery signature to be sent after the decision with
            `{"ok", "gid", "code", "reason"}`, at least once.
        register: "database", where the outcome is decided.

    Raises InvalidArgument, InvalidName.
    """
    if "timeout" in options:
        raise InvalidArgument(
            "distributed_transaction takes no timeout=: pass deadline= for how long it may stay "
            "undecided, or wait= to result() for how long you wait."
        )
    known = {"protocol", "deadline", "key", "wait", "then", "register"}
    for option in options:
        if option not in known:
            raise InvalidArgument(nearest.unknown_message("option", option, known))
    options.setdefault("deadline", conf.current().transactions.deadline_ms / 1000)
    return DistributedTransaction(name, **options)


def _refuse_atomic(using: str, what: str) -> None:
    if using in connections and database.in_transaction(using):
        raise InvalidArgument(
            f"{what} cannot be used inside atomic() of database {using!r}, or with its autocommit "
            "off: its own commits would wait for yours. Leave the block first, or turn "
            f"ATOMIC_REQUESTS off for this view; in tests use TransactionTestCase.",
            store=using,
        )


def _in_celery_task() -> bool:
    task: Any = current_task
    return bool(task) and not task.request.called_directly


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=16, thread_name_prefix="concord-transaction")


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Run a whole call in one thread, since Django's connections belong to threads."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), lambda: function(*args))
