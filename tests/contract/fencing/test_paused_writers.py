"""A holder who was paused past its lease, and two writers at the same moment."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.serializers import deserialize, serialize
from django.db import OperationalError, connections, transaction

from coordination import lock
from coordination.exceptions import InvalidArgument, LockLost, StaleToken
from coordination.locks.grant import Grant
from coordination.models import UNFENCED
from tests.contract.locks.asking import held, pass_time, until
from tests.contract.threads import disconnected
from tests.guarded.models import Account, Savings

BLOCKED = "SELECT count(*) FROM pg_locks WHERE NOT granted"


def taken(name: str, **options: object) -> Grant:
    return held(lock(name, using="redis", **options).acquire(wait=5))


def test_a_holder_paused_past_its_lease_is_refused_by_the_row(using: str) -> None:
    name = f"account:{using}"
    account = Account()
    first = taken(name, ttl=0.2, renew=False)
    account.save(token=first, using=using)
    later = taken(name)  # the first one's lease has run out
    twin = Account.objects.using(using).get(pk=account.pk)
    twin.balance = 2
    twin.save(token=later)

    account.balance = 1
    with pytest.raises(LockLost):  # where the first can tell by itself
        account.save(token=first)
    with pytest.raises(StaleToken):  # and where it cannot, the row can
        account.save(token=first.token)
    later.release()
    assert Account.objects.using(using).get(pk=account.pk).balance == 2


def test_a_lost_grant_is_refused_before_anything_is_sent(using: str) -> None:
    grant = taken(f"lost:{using}", ttl=0.05, renew=False)
    account = Account()
    account.save(token=UNFENCED, using=using)
    rows = Account.objects.using(using).fenced(grant)
    pass_time(0.06)

    def refuse(*_: object) -> None:
        pytest.fail("something was sent")

    with connections[using].execute_wrapper(refuse):
        for write in (lambda: account.save(token=grant), rows.delete):
            with pytest.raises(LockLost):
                write()
        with pytest.raises(InvalidArgument, match=r"one of its \.tokens"):
            account.save(token=type("Many", (), {"tokens": {}})())


@pytest.mark.parametrize("using", ["default"], indirect=True)
@pytest.mark.parametrize("verb", ["save", "update", "delete", "child"])
def test_a_writer_who_had_to_wait_compares_with_what_was_committed(using: str, verb: str) -> None:
    """READ COMMITTED: the row is looked at again after the other writer's commit."""
    account = Savings(balance=1)
    account.save(token=5, using=using)
    late = Account.objects.using(using).get(pk=account.pk)
    writes = {
        "save": lambda: late.save(token=6),
        "update": lambda: Account.objects.using(using).fenced(6).update(balance=0),
        "delete": lambda: late.delete(token=6),
        "child": lambda: Savings.objects.using(using).fenced(6).update(rate=0),
    }
    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic(using=using):
            account.balance = 2
            account.save(token=7)
            waiting = thread.submit(disconnected, writes[verb])
            until(lambda: _blocked(using) > 0)
        with pytest.raises(StaleToken, match="token 7"):
            waiting.result(10)

    assert Account.objects.using(using).values_list("balance", "fence_token").get() == (2, 7)


def _blocked(using: str) -> int:
    with connections[using].cursor() as cursor:
        cursor.execute(BLOCKED)
        return int(cursor.fetchone()[0])


@pytest.mark.parametrize("using", ["default"], indirect=True)
def test_under_repeatable_read_the_server_refuses(using: str) -> None:
    account = Account()
    account.save(token=5, using=using)
    read, written = threading.Event(), threading.Event()

    def late() -> None:
        with transaction.atomic(using=using):
            with connections[using].cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            mine = Account.objects.using(using).get(pk=account.pk)
            read.set()
            assert written.wait(10)
            mine.save(token=6)

    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(disconnected, late)
        assert read.wait(10)
        account.save(token=7)
        written.set()
        with pytest.raises(OperationalError, match="serialize"):
            waiting.result(10)


def test_of_many_writers_no_older_one_follows_a_newer(using: str) -> None:
    account = Account()
    account.save(token=1, using=using)

    def write(token: int) -> bool:
        mine = Account.objects.using(using).get(pk=account.pk)
        mine.balance = token
        try:
            mine.save(token=token)
        except StaleToken:
            return False
        return True

    tokens = [*range(2, 34, 2), *range(33, 1, -2)]
    with ThreadPoolExecutor(4) as threads:
        written = list(threads.map(lambda token: disconnected(lambda: write(token)), tokens))

    assert written[tokens.index(33)]
    row = Account.objects.using(using).get(pk=account.pk)
    assert (row.balance, row.fence_token) == (33, 33)


def test_fixtures_are_loaded_and_lower_no_token(using: str) -> None:
    account = Account(balance=1)
    account.save(token=5, using=using)
    old = serialize("json", Account.objects.using(using).all())
    account.balance = 2
    account.save(token=9)
    Account.objects.using(using).fenced(9).update(name="x")

    for row in deserialize("json", old, using=using):
        row.save(using=using)
    assert Account.objects.using(using).values_list("balance", "fence_token").get() == (1, 9)

    Account.objects.using(using).get().delete(token=9)
    for row in deserialize("json", old, using=using):
        row.save(using=using)
    assert Account.objects.using(using).values_list("balance", "fence_token").get() == (1, 5)
