"""A supervised consumer works on each message once, keeps its lease, and drains when it stops."""

import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from coordination import queue
from coordination.exceptions import InvalidArgument
from coordination.queues.api import Queue
from coordination.queues.delivery import Delivery
from coordination.queues.types import Capability
from tests.contract.queues.taking import DEADLINE_S, balanced, one, until


@contextmanager
def running(
    q: Queue, handler: Callable[[Delivery], object], *, concurrency: int = 4
) -> Iterator[threading.Event]:
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(q.run, handler, concurrency=concurrency, stop=stop)
        try:
            yield stop
        finally:
            stop.set()
            ended.result(timeout=2 * DEADLINE_S)


def test_what_returns_is_acked_and_what_raises_comes_again(q: Queue) -> None:
    done: list[tuple[int, int]] = []

    def handler(message: Delivery) -> None:
        if message.body == 1 and message.attempts == 1:
            message.nack(delay=0, error="the handler may settle it itself")
            return
        if message.body == 2 and message.attempts == 1:
            raise ValueError("not yet")
        done.append((message.body, message.attempts))

    q.publish_many(range(4))
    with running(q, handler):
        until(lambda: len(done) == 4 and q.stats().held == 0)
    assert sorted(done) == [(0, 1), (1, 2), (2, 2), (3, 1)]
    balanced(q)


def test_no_more_is_taken_than_can_be_begun_at_once(q: Queue) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def handler(message: Delivery) -> None:
        begun.release()
        assert go_on.wait(DEADLINE_S)

    q.publish_many(range(10))
    with running(q, handler, concurrency=3):
        for _ in range(3):
            assert begun.acquire(timeout=DEADLINE_S)
        stats = q.stats()
        assert (stats.in_flight, stats.ready) == (3, 7)
        go_on.set()
        until(lambda: q.stats().held == 0)
    balanced(q)


def test_what_is_under_way_is_completed_before_it_stops(q: Queue) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def handler(message: Delivery) -> None:
        begun.set()
        assert go_on.wait(DEADLINE_S)

    q.publish_many(range(3))
    with running(q, handler, concurrency=1) as stop:
        assert begun.wait(DEADLINE_S)
        stop.set()
        go_on.set()
    stats = q.stats()
    assert (stats.in_flight, stats.ready) == (0, 2)
    assert one(q).attempts == 1
    balanced(q)


@pytest.mark.needs(Capability.EXTEND)
def test_the_lease_is_kept_while_the_handler_works(made: Callable[..., Queue]) -> None:
    q = made(visibility=1)
    seen: list[int] = []
    over = threading.Event()

    def handler(message: Delivery) -> None:
        seen.append(message.attempts)
        assert not over.wait(2.5)

    q.publish("long")
    with running(q, handler):
        until(lambda: bool(seen) and q.stats().held == 0)
    assert seen == [1]
    balanced(q)


def test_a_handler_that_always_fails_makes_a_dead_letter(
    made: Callable[..., Queue], using: str
) -> None:
    q = made(max_attempts=2)
    other = threading.Event()

    def handler(message: Delivery) -> None:
        if message.body == "poison":
            raise RuntimeError("boom")
        other.set()

    q.publish_many(["poison", "fine"])
    with running(q, handler):
        until(lambda: q.stats().dead == 1)
        assert other.wait(DEADLINE_S)
    letter = one(queue(f"{q.name}.dlq", using=using))
    assert (letter.body, letter.error) == ("poison", "RuntimeError: boom")
    balanced(q)


@pytest.mark.needs(Capability.EXTEND)
def test_a_suspect_runs_while_nothing_else_does(made: Callable[..., Queue]) -> None:
    q = made(visibility=0.3)
    q.publish("suspect")
    one(q)  # its taker vanishes
    q.publish_many(range(6))
    at_once: list[int] = []
    active: set[object] = set()
    mutex = threading.Lock()

    def handler(message: Delivery) -> None:
        with mutex:
            active.add(message.body)
        threading.Event().wait(0.05)
        with mutex:
            if message.suspect or "suspect" in active:
                at_once.append(len(active))
            active.discard(message.body)

    with running(q, handler):
        until(lambda: q.stats().held == 0)
    assert set(at_once) <= {1}
    balanced(q)


def test_a_handler_that_leaves_by_system_exit_has_failed(q: Queue) -> None:
    seen: list[int] = []

    def handler(message: Delivery) -> None:
        seen.append(message.attempts)
        if message.attempts == 1:
            raise SystemExit("over")

    q.publish("x")
    with running(q, handler):
        until(lambda: q.stats().held == 0)
    assert seen == [1, 2]
    balanced(q)


def test_a_queue_that_was_declared_otherwise_is_told_and_not_waited_for(
    made: Callable[..., Queue],
) -> None:
    made(max_attempts=3).publish("x")
    with pytest.raises(InvalidArgument, match="max_attempts=3, not 4"):
        made(max_attempts=4).run(print, stop=threading.Event())
    assert one(made()).attempts == 1


def test_a_suspect_is_not_begun_after_the_word_to_stop(made: Callable[..., Queue]) -> None:
    q = made(visibility=0.3)
    q.publish("suspect")
    one(q)  # its taker vanishes
    threading.Event().wait(0.4)
    begun, stop = list[object](), threading.Event()
    q.publish("first", **({"priority": 9} if Capability.PRIORITY in q.store.capabilities else {}))

    def handler(message: Delivery) -> None:
        begun.append(message.body)
        stop.set()
        # Long enough that the suspect is taken meanwhile, and waits for this one's end.
        threading.Event().wait(0.2)

    q.run(handler, concurrency=4, stop=stop)
    assert len(begun) == 1
    assert q.stats().in_flight == 0


def test_signals_stop_it_and_are_given_back(q: Queue) -> None:
    before = signal.getsignal(signal.SIGTERM)
    done: list[object] = []

    def handler(message: Delivery) -> None:
        done.append(message.body)
        signal.raise_signal(signal.SIGTERM)

    q.publish("x")
    q.run(handler)
    assert done == ["x"]
    assert signal.getsignal(signal.SIGTERM) is before
    assert q.stats().held == 0


def test_a_handler_runs_in_so_many_threads(q: Queue) -> None:
    with pytest.raises(InvalidArgument, match="concurrency"):
        q.run(print, concurrency=-1)
