"""Counters of a database store inside the caller's own transaction."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DatabaseError, connections, transaction

from coordination import conf
from coordination.counters.api import Counter
from coordination.exceptions import BoundExceeded
from tests.contract.threads import disconnected

Make = Callable[..., Counter]


@pytest.fixture(params=["database", "sqlite"])
def using(request: pytest.FixtureRequest, transactional_db: None) -> str:
    alias: str = request.getfixturevalue(f"{request.param}_counters")
    return alias


@pytest.fixture
def alias(using: str) -> str:
    """The database's own."""
    return conf.current().stores[using].using


def test_a_rollback_undoes_the_change_its_event_and_its_answer(made: Make, alias: str) -> None:
    c = made()
    c.add(1)
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=alias):
        assert c.add(5, op_id="undone") == 6
        assert c.set(9) == 9
        assert c.get() == 9
        _ = 1 / 0

    assert c.read() == (1, 1)
    assert len(c.history()) == 1
    assert c.add(5, op_id="undone") == 6


def test_a_savepoint_undoes_its_own_part_alone(made: Make, alias: str) -> None:
    c = made()
    with transaction.atomic(using=alias):
        c.add(1)
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=alias):
            c.add(10)
            _ = 1 / 0
        c.add(100)

    assert c.read() == (101, 2)


def test_others_see_it_after_the_commit_and_not_before(made: Make, alias: str) -> None:
    c = made()
    c.add(1)
    with ThreadPoolExecutor(1) as other:
        with transaction.atomic(using=alias):
            c.add(5)
            assert other.submit(disconnected, c.get).result(10) == 1
        assert other.submit(disconnected, c.get).result(10) == 6


def test_a_bound_that_refuses_leaves_the_transaction_usable(made: Make, alias: str) -> None:
    c = made(minimum=0)
    with transaction.atomic(using=alias):
        c.add(2)
        with pytest.raises(BoundExceeded):
            c.add(-5)
        assert c.compare_and_set(9, 1) is False
        c.add(3)

    assert c.get() == 5


def test_in_a_transaction_that_can_only_be_rolled_back_nothing_is_promised(
    made: Make, alias: str
) -> None:
    c = made()
    with transaction.atomic(using=alias):
        with pytest.raises(DatabaseError), transaction.atomic(using=alias, savepoint=False):
            with connections[alias].cursor() as cursor:
                cursor.execute("SELECT * FROM nothing_of_this_name")
        with pytest.raises(transaction.TransactionManagementError):
            c.add(1)

    assert c.read() == (0, 0)


def test_a_batch_in_a_transaction_goes_with_it(made: Make, alias: str) -> None:
    c = made(shards=3)
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=alias):
        c.add_many([1, 2, 3, (4, "four")])
        assert c.get() == 10
        _ = 1 / 0

    assert c.get() == 0
    assert c.add_many([(4, "four")])[0] == 4
