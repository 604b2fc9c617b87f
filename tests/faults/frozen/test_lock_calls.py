"""Every call of locks while its store does not answer: an error in time, never a hang."""

import time
from collections.abc import Callable

import pytest
from asgiref.sync import async_to_sync

from coordination import barrier, lock, multilock, semaphore
from coordination.exceptions import OutcomeUnknown, StoreUnavailable
from coordination.locks.grant import Grant
from coordination.locks.stores import lock_store
from tests.contract.locks.asking import held
from tests.databases import ALIASES, _django_db_helper
from tests.faults.frozen.conftest import DEADLINE_S, Freeze

__all__ = ["_django_db_helper"]

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

CALLS: dict[str, Callable[[Grant], object]] = {
    "acquire": lambda _: lock("a", renew=False).acquire(),
    "try": lambda _: lock("a", renew=False).acquire(wait=0),
    "aacquire": lambda _: async_to_sync(lock("a", renew=False).aacquire)(),
    "renew": lambda grant: grant.renew(),
    "arenew": lambda grant: async_to_sync(grant.arenew)(),
    "release": lambda grant: grant.release(),
    "arelease": lambda grant: async_to_sync(grant.arelease)(),
    "info": lambda _: lock("a").info(),
    "force_release": lambda _: lock.force_release("a", reason="stuck", actor="operator"),
    "request_revoke": lambda _: lock.request_revoke("a", reason="stuck", actor="operator"),
    "multilock": lambda _: multilock("a", "b", renew=False).acquire(),
    "semaphore": lambda _: semaphore("a", permits=2).acquire(),
    "barrier": lambda _: barrier("a", parties=2).wait(wait=20),
    "contended": lambda _: lock_store("own").contended(),
    "highest_token": lambda _: lock_store("own").highest_token(),
    "raise_tokens": lambda _: lock_store("own").raise_tokens(2**52),
}


@pytest.mark.parametrize("verb", CALLS)
def test_a_frozen_store_is_an_error_within_the_deadline(freeze: Freeze, verb: str) -> None:
    grant = held(lock("held", renew=False).acquire())
    with freeze():
        begun = time.monotonic()
        with pytest.raises((OutcomeUnknown, StoreUnavailable)) as told:
            CALLS[verb](grant)
        took = time.monotonic() - begun

    assert took < DEADLINE_S + 0.5
    assert told.value.applied is (None if isinstance(told.value, OutcomeUnknown) else False)
