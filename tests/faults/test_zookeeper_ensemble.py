"""Locks on three ZooKeepers of which some are killed, frozen or left."""

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from coordination import lock
from coordination.exceptions import (
    CoordinationError,
    LockLost,
    NotOwner,
    OutcomeUnknown,
    StoreUnavailable,
)
from coordination.locks.grant import Grant
from coordination.locks.stores.zookeeper import ZooKeeperLocks
from tests.contract.locks.asking import held, pass_time, seen, until
from tests.integration.own_zookeeper import OwnZooKeeper
from tests.integration.zookeeper_ensemble import Ensemble, _servers, ensemble, with_patience
from tests.integration.zookeeper_store import (
    DEADLINE_S,
    SESSION_S,
    claims,
    client_of,
    end_session,
    other_process,
    root,
    threads,
    use,
)

__all__ = ["_servers", "ensemble", "root", "threads", "use"]

ELECTION_S = 20.0
"""Longer than three servers on this machine ever take to find a leader."""


@pytest.fixture
def store(ensemble: Ensemble, use: Callable[..., ZooKeeperLocks], root: str) -> ZooKeeperLocks:
    """Locks in the ensemble, below a node of this test's own."""
    made = use(f"{ensemble.hosts}{root}")
    with_patience(made)
    return made


def insisting(call: Callable[[], object]) -> object:
    """`call`, again as long as the ensemble does not answer."""
    answers: list[object] = []

    def answered() -> bool:
        try:
            answers.append(call())
        except (StoreUnavailable, OutcomeUnknown):
            return False
        return True

    until(answered, within_s=ELECTION_S)
    return answers[0]


def waiting(store: ZooKeeperLocks, threads: ThreadPoolExecutor) -> "Callable[[], Grant]":
    """A waiter for the lock `a`, in its queue already; the function returns its grant."""

    def wait() -> Grant:
        granted = insisting(lambda: lock("a", ttl=60, wait=2 * ELECTION_S).acquire())
        assert isinstance(granted, Grant)
        return granted

    future = threads.submit(wait)
    until(lambda: len(seen(store, "a").waiters) == 1)
    return lambda: future.result(2 * ELECTION_S)


def test_a_leader_that_is_killed_costs_the_holder_its_lock_and_the_waiter_is_served(
    store: ZooKeeperLocks, ensemble: Ensemble, threads: ThreadPoolExecutor
) -> None:
    grant = held(lock("a", ttl=60).acquire())
    served = waiting(store, threads)
    ensemble.leader.kill()

    until(lambda: grant.lost is not None, within_s=ELECTION_S)
    with pytest.raises(LockLost):
        grant.ensure_held()
    give_back(grant)
    later = served()

    assert later.token > grant.token
    assert insisting(lambda: seen(store, "a").token) == later.token
    insisting(later.release)


def give_back(grant: Grant) -> None:
    """Until the ensemble says that it is given back, or was lost with its session."""

    def given() -> bool:
        try:
            grant.release()
        except NotOwner:
            return True
        except (StoreUnavailable, OutcomeUnknown):
            return False
        return True

    until(given, within_s=ELECTION_S)


def test_a_holder_that_dies_with_the_leader_is_replaced(
    store: ZooKeeperLocks, ensemble: Ensemble, threads: ThreadPoolExecutor, root: str
) -> None:
    with other_process(ensemble.hosts + root, "hold") as holder:
        token = seen(store, "a").token
        assert token is not None
        served = waiting(store, threads)
        ensemble.leader.kill()
        holder.send_signal(signal.SIGKILL)

        assert served().token > token


def test_tokens_rise_over_an_election_even_if_they_are_ahead_of_the_clock(
    store: ZooKeeperLocks, ensemble: Ensemble
) -> None:
    store.raise_tokens(store.highest_token() + 10**12)
    for _ in range(5):
        with lock("a") as before:
            pass
    ensemble.leader.kill()
    begun: list[Grant] = []

    def granted() -> bool:
        try:
            begun.append(held(lock("a", wait=0).acquire()))
        except (StoreUnavailable, OutcomeUnknown, AssertionError):
            return False
        return True

    until(granted, within_s=ELECTION_S)
    assert begun[0].token > before.token
    assert begun[0].token == insisting(lambda: seen(store, "a").token)
    assert begun[0].token < before.token + 10**6
    events = insisting(store.events)
    assert isinstance(events, list | tuple)
    (told,) = (each for each in events if each.token == begun[0].token)
    assert told.kind == "lock.granted"


def test_a_frozen_follower_is_no_matter_to_who_talks_to_another_server(
    store: ZooKeeperLocks, ensemble: Ensemble
) -> None:
    first, second = ensemble.followers
    ensemble.connect_to(store, ensemble.leader, second)
    grant = held(lock("a", ttl=60).acquire())
    with ensemble.frozen(first):
        begun = time.monotonic()
        while time.monotonic() - begun < SESSION_S:
            with lock("b"):
                pass_time(0.05)
            grant.ensure_held()
    grant.release()


def test_who_talks_to_a_frozen_follower_is_told_and_goes_to_another_server(
    store: ZooKeeperLocks, ensemble: Ensemble
) -> None:
    follower = ensemble.connect_to(store, *ensemble.followers)
    grant = held(lock("a", ttl=60).acquire())
    with ensemble.frozen(follower):
        begun = time.monotonic()
        until(lambda: asked_in_time(store) and grant.lost is not None, within_s=3 * SESSION_S)
        give_back(grant)
        again = insisting(lambda: lock("a").acquire(wait=5))
        assert time.monotonic() - begun < 5 * SESSION_S
        assert isinstance(again, Grant)
        assert again.token > grant.token
        assert ensemble.connected() is not follower


def asked_in_time(store: ZooKeeperLocks) -> bool:
    """Ask for something; however that ends, it ends within the deadline."""
    begun = time.monotonic()
    with suppress(StoreUnavailable, OutcomeUnknown):
        store.highest_token()
    assert time.monotonic() - begun < DEADLINE_S + 0.5
    return True


def test_a_session_that_another_server_ended_is_lost_at_once(
    store: ZooKeeperLocks, ensemble: Ensemble, threads: ThreadPoolExecutor
) -> None:
    grant = held(lock("a", ttl=60).acquire())
    served = waiting(store, threads)
    mine = ensemble.connected()
    end_session(next(each for each in ensemble.servers if each is not mine))

    until(lambda: grant.lost is not None)
    later = served()
    assert later.token > grant.token
    with pytest.raises(NotOwner):
        grant.release()
    later.release()


VERBS: dict[str, Callable[[], object]] = {
    "try": lambda: lock("tried", ttl=60, renew=False).acquire(wait=0),
    "acquire": lambda: lock("asked", ttl=60, renew=False).acquire(wait=10),
    "info": lambda: lock("a").info(),
    "force_release": lambda: lock.force_release("a", reason="stuck", actor="operator"),
    "request_revoke": lambda: lock.request_revoke("a", reason="stuck", actor="operator"),
}


def test_without_a_majority_every_call_ends_in_time_and_nothing_is_granted(
    store: ZooKeeperLocks, ensemble: Ensemble, root: str
) -> None:
    grant = held(lock("a", ttl=60, renew=False).acquire())
    survivor = ensemble.connected()
    assert survivor is not None
    told: dict[str, CoordinationError] = {}
    with ensemble.frozen(*(each for each in ensemble.servers if each is not survivor)):
        for verb, call in {**VERBS, "release": grant.release}.items():
            begun = time.monotonic()
            try:
                answer = call()
            except (StoreUnavailable, OutcomeUnknown) as error:
                told[verb] = error
            else:
                # What one server knows it may tell, until it notices that it is alone.
                assert verb == "info", answer
            assert time.monotonic() - begun < DEADLINE_S + 0.5, verb

    assert told.keys() >= {*VERBS, "release"} - {"info"}
    for error in told.values():
        assert error.applied is (None if isinstance(error, OutcomeUnknown) else False)
    with_patience(store)
    settled(ensemble.servers, root)
    for name in ("tried", "asked"):
        again = insisting(lambda name=name: lock(name).acquire(wait=5))
        assert isinstance(again, Grant)
        assert again.token > grant.token


def settled(servers: list[OwnZooKeeper], root: str) -> None:
    """No claim is left of calls that failed."""
    for name in ("tried", "asked"):
        until(lambda name=name: claims(servers[0], root, name) == [], within_s=ELECTION_S)


def test_a_client_that_moved_to_another_server_keeps_its_session_and_its_place(
    store: ZooKeeperLocks,
    ensemble: Ensemble,
    threads: ThreadPoolExecutor,
) -> None:
    follower = ensemble.connect_to(store, *ensemble.followers)
    grant = held(lock("a", ttl=60).acquire())
    served = waiting(store, threads)
    session = client_of().client_id[0]
    (place,) = [each.id for each in seen(store, "a").waiters]
    follower.kill()

    until(lambda: grant.lost is not None)
    until(lambda: bool(client_of().connected))
    assert client_of().client_id[0] == session
    assert ensemble.connected() is not follower
    assert [each.id for each in seen(store, "a").waiters] == [place]
    grant.release()
    assert served().token > grant.token
