"""Offers the SmallBank mix in open loop: transactions are due at fixed times, whatever happens.

Used by `manage.py demo` and by tests, which can drive a chosen rate while they kill processes. The
same seed draws the same transactions, however threads interleave.
"""

import contextlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Self

import structlog
from django.db import InterfaceError, OperationalError, connections

from coordination import distributed_transaction, exceptions
from coordination.transactions.api import DistributedTransaction
from examples.bank.homes import home_of
from examples.bank.latencies import Latencies
from examples.bank.mix import Choice, Holdings, Operation, choose, legs
from examples.bank.models import Account
from examples.bank.statistics import Answer, Result, Statistics

log = structlog.get_logger(__name__)

LATE_S_MAX = 1.0
"""A transaction due longer ago is not offered any more, so an outage leaves no flood behind it."""
BACKOFF_S_MIN = 0.05
BACKOFF_S_MAX = 1.0
REASONS_MAX = 100


class Load:
    """Threads that offer `rate` transactions a second until stopped.

    Args:
        rate: offered transactions a second; how many are answered depends on `threads`, too,
            for each thread waits for its decision.
        threads: transactions in flight at most.
        seed: of the drawn transactions.
        accounts: the mix runs over accounts 1..`accounts`, which must have been seeded.
        wait: whether to wait for each decision; without it nothing but the sending is counted.
        deadline: seconds after which an undecided transaction aborts.
        on_answer: called in the load's threads with each answer.
    """

    def __init__(
        self,
        *,
        rate: float,
        threads: int,
        seed: int = 1,
        accounts: int = 200,
        wait: bool = True,
        deadline: float = 10,
        on_answer: Callable[[Answer], None] | None = None,
    ) -> None:
        if not (math.isfinite(rate) and rate > 0):
            raise ValueError(f"rate must be above zero, not {rate}")
        if threads < 1:
            raise ValueError(f"threads must be at least 1, not {threads}")
        if accounts < 2:
            raise ValueError(f"accounts must be at least 2, not {accounts}")
        self._rate = rate
        self._seed = seed
        self._accounts = accounts
        self._wait = wait
        self._deadline = deadline
        self._on_answer = on_answer
        self._stopping = threading.Event()
        self._guard = threading.Lock()
        self._next_index = 0
        self._missed = 0
        self._results: Counter[Result] = Counter()
        self._reasons: Counter[str] = Counter()
        self._latencies = Latencies()
        self._started_at = math.inf
        self._stopped_at: float | None = None
        self._threads = [
            threading.Thread(target=self._work, name=f"load-{number}", daemon=True)
            for number in range(threads)
        ]

    def start(self) -> Self:
        """Begin to offer transactions; a load runs once."""
        self._started_at = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def stop(self, *, wait: float = 20) -> Statistics:
        """Offer no more, wait for those in flight at most `wait` seconds, return the statistics."""
        self._stopping.set()
        give_up_at = time.monotonic() + wait
        for thread in self._threads:
            thread.join(max(0.0, give_up_at - time.monotonic()))
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()
        return self.statistics()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def in_flight(self) -> int:
        """Threads that have not ended; zero after a complete drain."""
        return sum(thread.is_alive() for thread in self._threads)

    def statistics(self) -> Statistics:
        """What has been answered since the start."""
        until = self._stopped_at if self._stopped_at is not None else time.monotonic()
        seconds = max(0.0, until - self._started_at)
        with self._guard:
            return Statistics(
                seconds=seconds,
                results=self._results.copy(),
                reasons=self._reasons.copy(),
                missed=self._missed,
                latencies=self._latencies.copy(),
            )

    def _work(self) -> None:
        outages = 0
        try:
            for index, due_at in self._arrivals():
                result = self._offer(index, due_at)
                outages = outages + 1 if result in (Result.UNAVAILABLE, Result.FAILED) else 0
                if outages:
                    self._recover(outages)
        finally:
            connections.close_all()

    def _arrivals(self) -> Iterator[tuple[int, float]]:
        """Each transaction of the load once, over all threads, when it is due."""
        while True:
            with self._guard:
                oldest_due = (time.monotonic() - LATE_S_MAX - self._started_at) * self._rate
                skipped = max(0, math.ceil(oldest_due) - self._next_index)
                self._missed += skipped
                index = self._next_index + skipped
                self._next_index = index + 1
            due_at = self._started_at + index / self._rate
            if self._stopping.wait(max(0.0, due_at - time.monotonic())):
                return
            yield index, due_at

    def _offer(self, index: int, due_at: float) -> Result:
        choice = choose(Random(f"{self._seed}:{index}"), accounts=self._accounts)
        tx = distributed_transaction(
            f"bank.{choice.operation}", deadline=self._deadline, wait=self._wait
        )
        result, reason = self._run(tx, choice)
        answer = Answer(
            index=index,
            operation=choice.operation,
            gid=tx.gid,
            result=result,
            reason=reason,
            latency_ms=(time.monotonic() - due_at) * 1000,
        )
        with self._guard:
            self._results[result] += 1
            if reason is not None:
                known = reason in self._reasons or len(self._reasons) < REASONS_MAX
                self._reasons[reason if known else "other"] += 1
            if result in (Result.COMMITTED, Result.ABORTED, Result.SUBMITTED):
                self._latencies.add(answer.latency_ms)
        if self._on_answer is not None:
            self._on_answer(answer)
        return result

    def _run(self, tx: DistributedTransaction, choice: Choice) -> tuple[Result, str | None]:
        try:
            branches = legs(choice, _read_holdings(choice))
            with tx:
                for leg in branches:
                    arguments: dict[str, Any] = dict(leg.arguments)
                    tx.enlist(leg.participant, **arguments)
        except exceptions.TransactionAborted as aborted:
            return Result.ABORTED, aborted.reason or "aborted"
        except exceptions.OutcomeUnknown:
            return Result.UNKNOWN, None
        except (exceptions.StoreUnavailable, InterfaceError, OperationalError) as outage:
            return Result.UNAVAILABLE, type(outage).__name__
        except Exception as defect:  # the edge of a thread: counted, shown, survived
            log.exception("bank.load.failed", operation=choice.operation)
            return Result.FAILED, type(defect).__name__
        return Result.COMMITTED if self._wait else Result.SUBMITTED, None

    def _recover(self, outages: int) -> None:
        for connection in connections.all(initialized_only=True):
            with contextlib.suppress(InterfaceError, OperationalError):
                connection.close_if_unusable_or_obsolete()
        self._stopping.wait(min(BACKOFF_S_MAX, BACKOFF_S_MIN * 2 ** min(outages, 10)))


def _read_holdings(choice: Choice) -> Holdings | None:
    if choice.operation is not Operation.AMALGAMATE:
        return None
    account = Account.objects.using(home_of(choice.account).alias).get(pk=choice.account)
    return Holdings(savings=account.savings, checking=account.checking)
