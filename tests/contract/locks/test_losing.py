"""How a lease ends, and who may still rely on it."""

import time
from collections.abc import Callable

import pytest

from coordination import lock
from coordination.exceptions import LockLost, NotOwner
from coordination.locks.api import Lock
from coordination.locks.store import LockStore
from tests.contract.locks.asking import held, pass_time, until


def test_former_holder_cannot_release_the_new_lease(made: Callable[..., Lock]) -> None:
    former, present = made(ttl=0.1, renew=False), made()
    late = held(former.acquire())
    grant = held(present.acquire(wait=2))

    with pytest.raises(NotOwner):
        late.release()
    assert present.info().token == grant.token
    grant.release()


def test_former_holder_cannot_renew(made: Callable[..., Lock], store: LockStore) -> None:
    late = held(made(ttl=0.1, renew=False).acquire())
    grant = held(made().acquire(wait=2))

    assert store.renew([late.request, grant.request])[0] is None
    with pytest.raises(LockLost):
        late.renew()
    grant.release()


def test_a_lease_is_trusted_less_long_than_it_lasts(made: Callable[..., Lock]) -> None:
    before = time.monotonic()
    patient = held(made(ttl=10, renew=False).acquire())
    assert patient.trusted_until < before + 10
    patient.release()

    grant = held(made(ttl=0.2, renew=False).acquire())
    until(lambda: grant.lost is not None)
    with pytest.raises(LockLost, match="lease ended"):
        grant.ensure_held()


def test_a_lease_is_renewed_while_it_is_held(made: Callable[..., Lock]) -> None:
    one = made(ttl=0.6)
    with one as grant:
        pass_time(1.5)
        grant.ensure_held()
        assert one.info().token == grant.token
        assert made().acquire(wait=0) is None


def test_a_lease_is_not_renewed_beyond_what_the_owner_allowed(made: Callable[..., Lock]) -> None:
    grant = held(made(ttl=0.3, max_hold=0.5).acquire())

    held(made().acquire(wait=3)).release()

    assert grant.lost is not None


def test_a_grant_nobody_holds_any_more_runs_out(made: Callable[..., Lock]) -> None:
    held(made(ttl=0.3).acquire())

    held(made().acquire(wait=3)).release()


def test_a_holder_learns_that_its_lock_was_taken_away(
    made: Callable[..., Lock], name: str, using: str
) -> None:
    one = made(ttl=0.6)
    with pytest.raises(LockLost), one as grant:
        lock.force_release(name, reason="stuck", actor="operator", using=using)
        assert until(lambda: grant.lost is not None) < 0.6
        with pytest.raises(LockLost, match="knows it no more"):
            grant.ensure_held()


def test_what_the_body_raised_is_not_hidden_by_a_lost_lock(
    made: Callable[..., Lock], name: str, using: str
) -> None:
    with pytest.raises(ZeroDivisionError), made():
        lock.force_release(name, reason="stuck", actor="operator", using=using)
        _ = 1 / 0


def test_a_holder_that_is_asked_for_it_back_is_renewed_until_the_grace_ends(
    made: Callable[..., Lock], name: str, using: str
) -> None:
    grant = held(made(ttl=0.3).acquire())
    lock.request_revoke(name, reason="deploy", actor="operator", grace=0.6, using=using)

    until(lambda: grant.revoked_at is not None)
    assert grant.lost is None
    held(made().acquire(wait=3)).release()
    assert grant.lost is not None


def test_a_lease_is_never_cut_short(
    made: Callable[..., Lock], store: LockStore, name: str, using: str
) -> None:
    """The holder may not hear of it, and trusts what it was told before."""
    grant = held(made(ttl=30, renew=False).acquire())
    lock.request_revoke(name, grace=0.2, using=using)
    store.renew([grant.request])

    assert made().info().holders[0].until >= grant.expires_at
    grant.release()


def test_a_lock_lost_by_our_clock_alone_is_still_given_back(made: Callable[..., Lock]) -> None:
    one = made()
    with pytest.raises(LockLost), one as grant:
        grant.trusted_until = 0.0

    assert one.info().holders == ()


def test_giving_back_twice_is_an_error(made: Callable[..., Lock]) -> None:
    grant = held(made().acquire())
    grant.release()

    with pytest.raises(NotOwner, match="given back already"):
        grant.release()
    with pytest.raises(NotOwner, match="not held by this object"):
        made().release()
