"""Tokens of ZooKeeper rise, whatever is raised, restarted, elected or forgotten."""

from collections.abc import Callable

from coordination import lock
from coordination.connections.zookeeper import ZooKeeperStore
from coordination.exceptions import OutcomeUnknown, StoreUnavailable
from coordination.locks.stores.zookeeper import ZooKeeperLocks
from tests.contract.locks.asking import asked, have, held, until
from tests.integration.own_zookeeper import OwnZooKeeper, own_zookeeper
from tests.integration.zookeeper_store import SESSION_S, claims, client_of, names, own, root, use

__all__ = ["own", "own_zookeeper", "root", "use"]


def test_claims_and_rising_tokens_outlive_a_restart(
    own_zookeeper: OwnZooKeeper, use: Callable[..., ZooKeeperLocks], root: str
) -> None:
    # A server that starts may be silent for longer than the others' short session.
    use(f"{own_zookeeper.hosts}{root}", session_s=20)
    grant = held(lock("a", ttl=60).acquire())
    own_zookeeper.kill()
    own_zookeeper.start()

    assert grant.lost is not None
    until(lambda: bool(client_of().connected), within_s=20)
    grant.release()
    assert held(lock("a", wait=5).acquire()).token > grant.token


def test_tokens_rise_even_if_zookeeper_forgot_everything(
    own: ZooKeeperLocks, own_zookeeper: OwnZooKeeper
) -> None:
    for _ in range(5):
        with lock("a") as before:
            pass
    own_zookeeper.kill()
    own_zookeeper.empty()
    own_zookeeper.start()

    # kazoo alone would never be let in again: it has seen more than this server has.
    def again() -> bool:
        try:
            return held(lock("a").acquire()).token > before.token
        except (StoreUnavailable, OutcomeUnknown):
            return False

    until(again, within_s=3 * SESSION_S)


def test_tokens_rise_above_what_they_were_raised_to(own: ZooKeeperLocks) -> None:
    with lock("a") as first:
        waiter = asked("a")
        own.acquire(waiter, stay_ms=5_000)
        floor = first.token + 10**9
        own.raise_tokens(floor)
    assert have(own.acquire(waiter, stay_ms=5_000)).token > floor
    assert own.highest_token() > floor
    own.release(waiter)

    own.raise_tokens(floor)  # again: no less, and no more than needed
    with lock("b") as other:
        assert floor < other.token <= own.highest_token() < floor + 10**6


def test_what_another_process_remembers_of_tokens_does_not_lower_them(
    own: ZooKeeperLocks, own_zookeeper: OwnZooKeeper, root: str
) -> None:
    with lock("a") as first:
        pass
    other = ZooKeeperStore("other", f"{own_zookeeper.hosts}{root}")
    try:
        ZooKeeperLocks(other, node="other").raise_tokens(first.token + 10**9)
        with lock("a") as second:
            assert second.token > first.token + 10**9
    finally:
        other.close()


def test_a_name_that_is_made_anew_does_not_lower_tokens(
    own: ZooKeeperLocks, own_zookeeper: OwnZooKeeper, root: str
) -> None:
    """Its claims are numbered from 0 again."""
    tokens, numbers = [], []
    for _ in range(3):
        with lock("a") as grant:
            tokens.append(grant.token)
            numbers.append(claims(own_zookeeper, root, "a")[0][-10:])
        until(lambda: names(own_zookeeper, root) == [])
    assert numbers == ["0000000000"] * 3
    assert tokens == sorted(set(tokens))
