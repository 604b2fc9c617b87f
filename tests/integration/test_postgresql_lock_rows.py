"""What locks leave in PostgreSQL alone: no rows for ever, and tokens that rise all the same."""

import json
import secrets
from dataclasses import replace

import pytest

from coordination import lock
from coordination.locks.stores.postgresql import PostgresLocks
from tests.contract.locks.asking import asked, have, pass_time, seen, until
from tests.databases import ALIASES, _django_db_helper
from tests.integration.ledger import execute
from tests.integration.postgresql_locks import events, store

__all__ = ["_django_db_helper", "store"]

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=ALIASES),
    pytest.mark.usefixtures("store"),
]


def rows_left() -> list[int]:
    tables = ("concord_lock", "concord_lock_claim", "concord_lock_answer")
    return [execute("default", f"SELECT count(*) FROM {table}")[0][0] for table in tables]


def test_a_lease_that_ran_out_and_a_waiter_that_left_are_told(store: PostgresLocks) -> None:
    store.acquire(asked("a", ttl_ms=1_000), stay_ms=0)
    store.acquire(asked("a"), stay_ms=500)
    pass_time(1.05)
    with lock("a"):
        pass

    kinds = [kind for _, kind, _ in events()]
    assert sorted(kinds[2:4]) == ["lock.expired", "lock.gave_up"]
    assert [kinds[0], kinds[1], *kinds[4:]] == [
        f"lock.{kind}" for kind in ("granted", "waiting", "granted", "released")
    ]


def test_names_out_of_use_leave_nothing_behind_and_their_tokens_still_rise(
    store: PostgresLocks,
) -> None:
    tokens = {}
    for number in range(20):
        request = replace(asked(f"n{number}", ttl_ms=50), kept_ms=1)
        tokens[request.name] = have(store.acquire(request, stay_ms=0)).token
        if number % 2:  # the others' holders never come back
            store.release(request)
    pass_time(0.1)
    execute("default", "UPDATE concord_lock_answer SET until_us = 0")
    for _ in range(2):
        execute("default", "SELECT concord_lock_tidy(0, '')")
        execute("default", "UPDATE concord_lock_answer SET until_us = 0")
    execute("default", "SELECT concord_lock_tidy(0, '')")

    assert rows_left() == [0, 0, 0]
    assert store.highest_token() == max(tokens.values())
    for name, token in tokens.items():
        assert have(store.acquire(asked(name), stay_ms=0)).token > token
        versions = [version for version, _, _ in events(name)]
        assert versions == list(range(1, len(versions) + 1))


def test_a_busy_store_tidies_up_by_itself(store: PostgresLocks) -> None:
    for _ in range(50):
        store.release(replace(asked(secrets.token_hex(4)), kept_ms=1))
    execute("default", "UPDATE concord_lock SET ends_us = 1")
    pass_time(0.01)

    def worked() -> bool:
        request = replace(asked("a"), kept_ms=1)
        store.acquire(request, stay_ms=0)
        store.release(request)
        return execute("default", "SELECT count(*) FROM concord_lock WHERE name <> 'a'") == [(0,)]

    until(worked, within_s=30)


def test_tokens_rise_above_what_they_were_raised_to_whatever_is_forgotten(
    store: PostgresLocks,
) -> None:
    old = replace(asked("old"), kept_ms=1)
    before = have(store.acquire(old, stay_ms=0)).token
    store.release(old)
    above = before + 10**12  # as by a clock that was set back eleven days

    store.raise_tokens(above)
    store.raise_tokens(1)

    assert store.highest_token() == above
    tokens = [have(store.acquire(asked(name), stay_ms=0)).token for name in ("old", "new")]
    assert min(tokens) > above
    lock.force_release("new", reason="stuck", actor="operator")
    forced = have(store.acquire(replace(asked("new"), kept_ms=1, id="again"), stay_ms=0)).token
    assert forced > tokens[1]
    store.release(replace(asked("new"), kept_ms=1, id="again"))
    execute("default", "UPDATE concord_lock_answer SET until_us = 0")
    execute("default", "SELECT concord_lock_tidy(0, '')")
    assert execute("default", "SELECT count(*) FROM concord_lock WHERE name = 'new'") == [(0,)]
    assert have(store.acquire(asked("new"), stay_ms=0)).token > forced


def test_text_that_no_database_takes_does_no_harm(store: PostgresLocks) -> None:
    odd = replace(asked("a"), owner="a\x00b\ud800c", metadata=json.dumps({"x": "\x00\ud800"}))

    have(store.acquire(odd, stay_ms=0))

    assert seen(store, "a").owner == "a\N{REPLACEMENT CHARACTER}b?c"
