"""One leader at a time."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from coordination import election, lock
from coordination.exceptions import InvalidArgument
from coordination.locks.elections import Election
from coordination.locks.grant import Grant
from tests.contract.locks.asking import until


@pytest.fixture
def candidate(using: str, name: str) -> Callable[..., Election]:
    def make(**options: object) -> Election:
        return election(name, using=using, **options)

    return make


def test_one_leads_at_a_time_and_terms_rise(
    candidate: Callable[..., Election], threads: ThreadPoolExecutor
) -> None:
    leading: list[str] = []
    terms: list[int] = []

    def work(term: Grant) -> str:
        leading.append(term.owner)
        assert leading == [term.owner]
        terms.append(term.token)
        leading.remove(term.owner)
        return "done"

    candidates = [candidate(owner=f"candidate-{number}") for number in range(5)]
    done = [threads.submit(each.run, work) for each in candidates]

    assert [each.result(20) for each in done] == ["done"] * 5
    assert terms == sorted(set(terms))


def test_a_deposed_leader_is_told_and_stands_again(
    candidate: Callable[..., Election], using: str, name: str, threads: ThreadPoolExecutor
) -> None:
    told: list[tuple[int, str]] = []
    terms: list[int] = []
    deposed = threading.Event()

    def on_deposed(term: Grant, reason: str) -> None:
        told.append((term.token, reason))
        deposed.set()

    def work(term: Grant) -> str:
        terms.append(term.token)
        if len(terms) == 1:
            deposed.wait(10)
            term.ensure_held()
        return "second term"

    running = threads.submit(candidate(ttl=0.6).run, work, on_deposed=on_deposed)
    until(lambda: len(terms) == 1)
    lock.force_release(name, kind="election", reason="test", actor="me", using=using)

    assert running.result(10) == "second term"
    assert [token for token, _ in told] == terms[:1]
    assert terms[1] > terms[0]


def test_a_dead_leader_is_replaced_when_its_lease_ends(
    candidate: Callable[..., Election],
) -> None:
    assert candidate(ttl=0.3)._acquire(0) is not None  # and is forgotten, as by one who died

    assert candidate().run(lambda term: term.waited < 2.3) is True


def test_a_candidate_who_is_to_stop_stands_no_more(
    candidate: Callable[..., Election], threads: ThreadPoolExecutor
) -> None:
    stop, over = threading.Event(), threading.Event()
    leader = threads.submit(candidate().run, lambda _: over.wait(20))
    until(lambda: candidate().leader().owner is not None)
    waiter = threads.submit(candidate().run, lambda _: "led", stop=stop)
    until(lambda: len(candidate().leader().waiters) == 1)
    stop.set()

    assert waiter.result(5) is None
    over.set()
    assert leader.result(5) is True
    assert candidate().leader().waiters == ()


def test_an_error_of_the_work_ends_the_candidacy(candidate: Callable[..., Election]) -> None:
    with pytest.raises(ZeroDivisionError):
        candidate().run(lambda _: 1 / 0)
    assert candidate().leader().holders == ()


def test_an_election_takes_no_wait(candidate: Callable[..., Election]) -> None:
    with pytest.raises(InvalidArgument, match="wait"):
        candidate(wait=3)


async def test_a_candidate_does_not_stop_an_event_loop(candidate: Callable[..., Election]) -> None:
    with pytest.raises(InvalidArgument, match="stop the running event loop"):
        candidate().run(lambda _: None)
