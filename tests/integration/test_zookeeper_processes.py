"""Processes that end, or fork, while they hold a lock in ZooKeeper or wait for it."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor

from coordination import lock
from coordination.exceptions import NotOwner
from coordination.locks.stores.zookeeper import ZooKeeperLocks
from tests.contract.locks.asking import held, seen, until
from tests.integration.forked_child import fork, succeeded
from tests.integration.own_zookeeper import OwnZooKeeper, own_zookeeper
from tests.integration.zookeeper_store import (
    SESSION_S,
    client_of,
    end_session,
    other_process,
    own,
    root,
    use,
)

__all__ = ["own", "own_zookeeper", "root", "use"]


def test_what_a_killed_process_held_is_free_with_the_end_of_its_session(
    own: ZooKeeperLocks, own_zookeeper: OwnZooKeeper, root: str
) -> None:
    with other_process(own_zookeeper.hosts + root, "hold") as holder:
        token = seen(own, "a").token
        assert token is not None
        holder.send_signal(signal.SIGKILL)

        grant = held(lock("a", wait=20).acquire())

    assert grant.waited < SESSION_S + 3  # its lease is a minute
    assert grant.token > token
    own.reconcile()
    assert [(each.kind, each.token) for each in own.events() if each.token == token] == [
        ("lock.granted", token),
        ("lock.expired", token),
    ]


def test_a_killed_waiter_is_skipped(
    own: ZooKeeperLocks, own_zookeeper: OwnZooKeeper, root: str
) -> None:
    holder = held(lock("a", ttl=60).acquire())
    with other_process(own_zookeeper.hosts + root, "wait") as dead:
        until(lambda: len(seen(own, "a").waiters) == 1)
        with ThreadPoolExecutor(1) as thread:
            waiter = thread.submit(lambda: held(lock("a", wait=20).acquire()))
            until(lambda: len(seen(own, "a").waiters) == 2)
            dead.send_signal(signal.SIGKILL)
            holder.release()
            waiter.result(SESSION_S + 5).release()


def test_a_process_that_ends_in_order_frees_what_it_held_at_once(
    own: ZooKeeperLocks, own_zookeeper: OwnZooKeeper, root: str
) -> None:
    with other_process(own_zookeeper.hosts + root, "hold") as holder:
        with ThreadPoolExecutor(1) as thread:
            waiter = thread.submit(lambda: held(lock("a", wait=20).acquire()))
            until(lambda: len(seen(own, "a").waiters) == 1)
            assert holder.stdin is not None
            holder.stdin.close()
            holder.wait(20)
            begun = time.monotonic()
            waiter.result(10).release()
            assert time.monotonic() - begun < 1


def test_a_forked_child_does_not_hold_what_its_parent_holds(own: ZooKeeperLocks) -> None:
    one = lock("a", ttl=0.9)
    grant = held(one.acquire())

    def work() -> bool:
        try:
            grant.release()
        except NotOwner:
            return grant.lost is not None and lock("a").acquire(wait=0) is None
        return False

    assert succeeded(fork(work))
    assert grant.lost is None
    renewed_until = grant.expires_at
    until(lambda: grant.expires_at > renewed_until)
    grant.release()


def test_a_forked_child_has_a_session_of_its_own(own: ZooKeeperLocks) -> None:
    own.highest_token()
    session = client_of().client_id[0]

    def work() -> bool:
        grant = held(lock("b").acquire())
        return client_of().client_id[0] != session and grant.lost is None

    assert succeeded(fork(work))
    assert client_of().connected


def test_a_waiter_whose_session_ended_waits_anew(
    own: ZooKeeperLocks, own_zookeeper: OwnZooKeeper, root: str
) -> None:
    """Behind those of other sessions that wait, as its node is gone."""
    with other_process(own_zookeeper.hosts + root, "hold") as holder:
        with ThreadPoolExecutor(1) as thread:
            waiter = thread.submit(lambda: held(lock("a", wait=20).acquire()))
            until(lambda: len(seen(own, "a").waiters) == 1)
            end_session(own_zookeeper)
            until(lambda: bool(client_of().connected) and len(seen(own, "a").waiters) == 1)
            holder.terminate()
            waiter.result(10).release()
