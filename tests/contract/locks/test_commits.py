"""Locks beside database transactions."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections, transaction

from coordination import lock
from coordination.locks.api import Lock
from coordination.locks.grant import Grant
from tests.contract.locks.asking import held


@pytest.mark.django_db(transaction=True)
def test_leaving_inside_atomic_gives_back_after_the_commit(made: Callable[..., Lock]) -> None:
    with transaction.atomic():
        with made():
            pass
        assert made().acquire(wait=0) is None
    held(made().acquire(wait=0)).release()


@pytest.mark.django_db(transaction=True)
def test_a_lock_is_not_free_while_the_commit_runs(
    made: Callable[..., Lock], threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, found = connections["default"], list[Grant | None]()
    connection.ensure_connection()
    commit = connection._commit

    def slow_commit() -> None:
        # Longer than two renewals: none of them may mistake this for the end.
        found.append(threads.submit(made().acquire, wait=0.7).result(10))
        commit()

    with transaction.atomic():
        monkeypatch.setattr(connection, "_commit", slow_commit)
        with made(ttl=0.6):
            pass

    assert found == [None]
    held(made().acquire(wait=0)).release()


@pytest.mark.django_db(transaction=True, databases=["default", "bank_a"])
def test_a_lock_around_two_databases_goes_with_the_last_commit(made: Callable[..., Lock]) -> None:
    with transaction.atomic("bank_a"):
        with transaction.atomic(), made():
            pass
        assert made().acquire(wait=0) is None
    held(made().acquire(wait=0)).release()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("renew", [True, False])
def test_after_a_rollback_the_lock_is_given_back_too(
    made: Callable[..., Lock], renew: bool
) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        with made(ttl=30, renew=renew):
            pass
        _ = 1 / 0

    with transaction.atomic():  # the same connection again
        assert held(made().acquire(wait=5)).waited < 2


@pytest.mark.django_db(transaction=True)
def test_a_lost_lock_does_not_stop_what_is_to_run_after_the_commit(
    made: Callable[..., Lock], name: str, using: str
) -> None:
    ran = []
    with transaction.atomic():
        with made() as grant:
            lock.force_release(name, reason="stuck", actor="operator", using=using)
        transaction.on_commit(lambda: ran.append("after"))

    assert ran == ["after"]
    assert grant.lost is not None
