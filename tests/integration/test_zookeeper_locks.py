"""Locks in ZooKeeper when the connection, the session or the server fails."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from coordination import lock, registry
from coordination.exceptions import LockLost, NotOwner, OutcomeUnknown, StoreUnavailable
from coordination.locks.grant import Grant
from coordination.locks.stores.zookeeper import ZooKeeperLocks
from coordination.locks.taken import Taken
from coordination.locks.types import Held, Released, moment
from tests.contract.locks.asking import asked, have, held, pass_time, seen, until
from tests.integration.own_zookeeper import LosingProxy, OwnZooKeeper, own_zookeeper
from tests.integration.zookeeper_store import (
    SESSION_S,
    claims,
    client_of,
    end_session,
    frozen,
    own,
    root,
    use,
    within_the_deadline,
)

__all__ = ["own", "own_zookeeper", "root", "use"]


def test_a_holder_whose_session_ended_knows_it_at_once_and_others_get_the_lock(
    own: ZooKeeperLocks, own_zookeeper: OwnZooKeeper
) -> None:
    grant = held(lock("a", ttl=60).acquire())
    end_session(own_zookeeper)

    assert grant.lost is not None
    with pytest.raises(LockLost, match="ZooKeeper"):
        grant.ensure_held()
    with lock("a", wait=5) as next_one:
        assert next_one.token > grant.token
    with pytest.raises(NotOwner):
        grant.release()


def test_a_grant_is_lost_with_the_connection_and_can_still_be_given_back(
    own_zookeeper: OwnZooKeeper, use: Callable[..., ZooKeeperLocks], root: str
) -> None:
    with LosingProxy(own_zookeeper.port) as proxy:
        use(f"{proxy.hosts}{root}", deadline_s=5)
        grant = held(lock("a", ttl=60).acquire())
        proxy.cut()

        until(lambda: grant.lost is not None)
        until(lambda: bool(client_of().connected))
        grant.release()
        assert lock("a").info().holders == ()
        registry.zookeeper_store("zookeeper").close()


def test_a_grant_that_was_asked_for_before_the_loss_is_lost_too(own: ZooKeeperLocks) -> None:
    """It may be told of after every other grant was declared lost."""
    request, sent_at = asked("a"), time.monotonic()
    answer = have(own.acquire(request, stay_ms=0))
    registry.zookeeper_store("zookeeper").close()

    taken = Taken(answer, sent_at)
    grant = Grant(request, taken, store=own, waited=0, max_hold_ms=10, renewals=None)

    assert grant.lost is not None


def test_a_silent_server_is_noticed_although_requests_are_sent(
    own: ZooKeeperLocks, own_zookeeper: OwnZooKeeper
) -> None:
    """kazoo takes requests for pings, and would wait for ever for their answers."""
    grant = held(lock("a", ttl=60, renew=False).acquire())
    begun = time.monotonic()
    with frozen(own_zookeeper):
        while grant.lost is None and time.monotonic() - begun < 2 * SESSION_S:
            with pytest.raises((StoreUnavailable, OutcomeUnknown)):
                own.renew([asked("b")], deadline_ms=100)
        assert time.monotonic() - begun < SESSION_S
    assert grant.lost is not None


def test_a_waiter_whose_connection_was_cut_keeps_its_place(
    own_zookeeper: OwnZooKeeper, use: Callable[..., ZooKeeperLocks], root: str
) -> None:
    with LosingProxy(own_zookeeper.port) as proxy, ThreadPoolExecutor(1) as thread:
        store = use(f"{proxy.hosts}{root}", deadline_s=5)
        first, behind = asked("a", ttl_ms=60_000), asked("a")
        have(store.acquire(first, stay_ms=0))
        waiter = thread.submit(lambda: held(lock("a", wait=20).acquire()))
        until(lambda: len(seen(store, "a").waiters) == 1)
        store.acquire(behind, stay_ms=20_000)
        before = [each.id for each in seen(store, "a").waiters]
        proxy.cut()
        until(lambda: bool(client_of().connected))

        assert [each.id for each in seen(store, "a").waiters] == before
        store.release(first)
        waiter.result(10).release()
        registry.zookeeper_store("zookeeper").close()


def test_a_server_that_is_not_there_is_an_error_within_the_deadline(
    use: Callable[..., ZooKeeperLocks],
) -> None:
    use("127.0.0.1:1")
    with within_the_deadline(), pytest.raises(StoreUnavailable, match="not connected"):
        lock("a").info()


def test_a_try_that_got_no_answer_leaves_no_claim(
    own: ZooKeeperLocks, own_zookeeper: OwnZooKeeper, root: str
) -> None:
    own.highest_token()
    with frozen(own_zookeeper), pytest.raises((OutcomeUnknown, StoreUnavailable)):
        lock("a").acquire(wait=0)

    # Removed in the background, however late the server carries out what it was sent.
    assert lock("b").acquire(wait=0) is not None
    until(lambda: claims(own_zookeeper, root, "a") == [], within_s=SESSION_S)


def test_a_try_that_fails_leaves_no_claim(
    own: ZooKeeperLocks, own_zookeeper: OwnZooKeeper, root: str
) -> None:
    with lock("a"):
        for _ in range(3):
            assert lock("a").acquire(wait=0) is None
            assert len(claims(own_zookeeper, root, "a")) == 1


def test_a_grant_whose_answer_was_lost_is_found_again(
    own_zookeeper: OwnZooKeeper, use: Callable[..., ZooKeeperLocks], root: str
) -> None:
    with LosingProxy(own_zookeeper.port) as proxy:
        store = use(f"{proxy.hosts}{root}", deadline_s=5)
        have(store.acquire(asked("other"), stay_ms=0))
        request = asked("a")
        proxy.lose_next()
        with pytest.raises(OutcomeUnknown):
            store.acquire(request, stay_ms=0)
        assert proxy.lost.wait(5)
        (claim,) = claims(own_zookeeper, root, "a")
        until(lambda: bool(client_of().connected))

        again = have(store.acquire(request, stay_ms=0))

        assert claims(own_zookeeper, root, "a") == [claim]
        assert again.token == seen(store, "a").token
        granted = [each for each in store.events() if each.resource.name == "a"]
        assert [(each.kind, each.token) for each in granted] == [("lock.granted", again.token)]
        registry.zookeeper_store("zookeeper").close()


def test_a_claim_of_another_session_is_worth_nothing(
    own: ZooKeeperLocks,
    own_zookeeper: OwnZooKeeper,
    use: Callable[..., ZooKeeperLocks],
    root: str,
) -> None:
    """It goes when that session ends, whatever this process does."""
    request = asked("a")
    with LosingProxy(own_zookeeper.port) as proxy:
        first = have(own.acquire(request, stay_ms=0))
        settings_of_other = use(f"{proxy.hosts}{root}", deadline_s=5)

        again = have(settings_of_other.acquire(request, stay_ms=0))

        assert again.token > first.token
        assert len(claims(own_zookeeper, root, "a")) == 1
        registry.zookeeper_store("zookeeper").close()


def test_a_release_that_got_no_answer_may_be_repeated(
    own_zookeeper: OwnZooKeeper, use: Callable[..., ZooKeeperLocks], root: str
) -> None:
    with LosingProxy(own_zookeeper.port) as proxy:
        store = use(f"{proxy.hosts}{root}", deadline_s=5)
        request = asked("a")
        have(store.acquire(request, stay_ms=0))
        proxy.lose_next()
        with pytest.raises(OutcomeUnknown):
            store.release(request)
        until(lambda: bool(client_of().connected))

        assert store.release(request) is Released.RELEASED
        kinds = [each.kind for each in store.events()]
        assert kinds == ["lock.granted", "lock.released"]
        registry.zookeeper_store("zookeeper").close()


def test_a_renewal_that_got_no_answer_is_found_when_it_is_repeated(
    own_zookeeper: OwnZooKeeper, use: Callable[..., ZooKeeperLocks], root: str
) -> None:
    with LosingProxy(own_zookeeper.port) as proxy:
        store = use(f"{proxy.hosts}{root}", deadline_s=5)
        request = asked("a", ttl_ms=60_000)
        first = have(store.acquire(request, stay_ms=0))
        pass_time(0.01)
        proxy.lose_next()
        with pytest.raises(OutcomeUnknown):
            store.renew([request])
        until(lambda: bool(client_of().connected))

        (again,) = store.renew([request])

        assert isinstance(again, Held)
        assert again.token == first.token
        assert first.until_us < again.until_us
        (holder,) = store.info(request.resource).holders
        assert holder.until == moment(again.until_us)
        assert [each.kind for each in store.events()] == ["lock.granted", "lock.renewed"]
        registry.zookeeper_store("zookeeper").close()


def test_a_forced_release_that_is_repeated_does_not_fall_on_the_next_holder(
    own_zookeeper: OwnZooKeeper, use: Callable[..., ZooKeeperLocks], root: str
) -> None:
    with LosingProxy(own_zookeeper.port) as proxy:
        store = use(f"{proxy.hosts}{root}", deadline_s=5)
        holder, waiter = asked("a"), asked("a")
        token = have(store.acquire(holder, stay_ms=0)).token
        store.acquire(waiter, stay_ms=5_000)
        proxy.lose_next()

        assert lock.force_release("a", reason="stuck", actor="operator") == [token]
        assert proxy.lost.is_set()
        assert have(store.acquire(waiter, stay_ms=5_000)).token > token
        registry.zookeeper_store("zookeeper").close()
