"""Who is granted a lock, and how calls are told apart."""

from collections.abc import Callable

import pytest

from coordination import lock
from coordination.exceptions import InvalidArgument, LockTimeout
from coordination.locks.api import Lock
from coordination.locks.store import LockStore
from coordination.locks.types import Over, Released
from tests.contract.locks.asking import asked, have, held, seen


def test_a_free_lock_is_granted_with_a_token(made: Callable[..., Lock], using: str) -> None:
    one = made(owner="alice", metadata={"why": "test"})

    with one as grant:
        info = one.info()

        assert (grant.owner, grant.store, grant.lost) == ("alice", using, None)
        assert (info.owner, info.token) == ("alice", grant.token)
        assert info.holders[0].metadata == {"why": "test"}
        assert 0 < info.ttl_left <= 30
        assert info.holders[0].until == grant.expires_at
    assert one.info().holders == ()


def test_a_busy_lock_is_not_waited_for_when_the_wait_is_zero(made: Callable[..., Lock]) -> None:
    with made():
        assert made().acquire(wait=0) is None


def test_entering_a_busy_lock_raises_when_the_wait_is_over(made: Callable[..., Lock]) -> None:
    with made():
        with pytest.raises(LockTimeout, match=r"busy after 0\.05 s") as told:
            with made(wait=0.05):
                pytest.fail("entered")
    assert isinstance(told.value, TimeoutError)
    assert told.value.applied is False


def test_tokens_rise_with_every_grant_and_across_a_force_release(
    made: Callable[..., Lock], name: str, using: str
) -> None:
    tokens = []
    for _ in range(3):
        with made() as grant:
            tokens.append(grant.token)
    held(made().acquire())
    tokens += lock.force_release(name, reason="test", actor="me", using=using)
    with made() as grant:
        tokens.append(grant.token)

    assert tokens == sorted(set(tokens))


def test_locks_are_not_reentrant(made: Callable[..., Lock]) -> None:
    one = made()
    with one:
        with pytest.raises(InvalidArgument, match="not reentrant"):
            one.acquire()
        assert made().acquire(wait=0) is None


def test_a_repeated_call_gets_the_first_answer(store: LockStore, name: str) -> None:
    request = asked(name)
    first = have(store.acquire(request, stay_ms=0))

    again = have(store.acquire(request, stay_ms=0))

    assert (again.token, again.until_us) == (first.token, first.until_us)
    assert [store.release(request), store.release(request)] == [Released.RELEASED] * 2
    assert store.acquire(request, stay_ms=0) == Over()
    assert seen(store, name).holders == ()


def test_every_token_is_greater_than_one_that_was_raised_to(
    made: Callable[..., Lock], store: LockStore
) -> None:
    """What a name does that moves to another store."""
    with made() as grant:
        waiting = asked(grant.name)
        store.acquire(waiting, stay_ms=5_000)
        above = max(store.highest_token(), grant.token) + 1_000_000_000
        store.raise_tokens(above)

    assert have(store.acquire(waiting, stay_ms=5_000)).token > above
    assert store.highest_token() > above
    store.raise_tokens(above - 5)
    store.release(waiting)
    with made() as grant:
        assert grant.token > above


def test_an_object_may_take_it_again_after_its_grant_was_given_back(
    made: Callable[..., Lock],
) -> None:
    one = made()
    held(one.acquire()).release()
    held(one.acquire()).release()
