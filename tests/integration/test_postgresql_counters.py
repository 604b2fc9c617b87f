"""Counters in PostgreSQL when the reply, the server or another transaction fails them."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import psutil
import pytest
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import connections, transaction
from pytest_django import Settings

from config.servers import Servers
from coordination import counter
from coordination.connections import postgresql_pool
from coordination.counters.api import Counter
from coordination.counters.stores import counter_store
from coordination.counters.stores.postgresql import PostgresCell, PostgresCounters
from coordination.counters.types import Change, Verb
from coordination.exceptions import BoundExceeded, InvalidArgument, OutcomeUnknown, StoreUnavailable
from tests.contract.locks.asking import until
from tests.contract.threads import at_once, disconnected
from tests.counter_stores import _django_db_helper
from tests.integration.counter_verbs import VERBS
from tests.integration.ledger import execute
from tests.integration.postgresql_locks import frozen
from tests.integration.postgresql_proxy import PostgresProxy

__all__ = ["_django_db_helper"]

DEADLINE_S = 0.4
STORE = "counters"

pytestmark = pytest.mark.django_db(transaction=True)


def configured(settings: Settings, *, using: str = "default", deadline_s: float = 10) -> None:
    store = {"BACKEND": "database", "USING": using, "OPTIONS": {"DEADLINE": deadline_s}}
    settings.COORDINATION = django_settings.COORDINATION | {
        "STORES": {STORE: store},
        "DEFAULT": STORE,
    }


@pytest.fixture(autouse=True)
def store(settings: Settings) -> None:
    configured(settings)


@pytest.fixture
def hasty(store: None, settings: Settings) -> None:
    configured(settings, deadline_s=DEADLINE_S)


@pytest.fixture
def proxy(store: None, settings: Settings) -> Iterator[PostgresProxy]:
    """The store's way to the server; what it loses was done."""
    to = connections.settings["default"]
    with PostgresProxy(int(to["PORT"])) as proxy:
        connections.settings["proxied"] = to | {"HOST": "127.0.0.1", "PORT": proxy.port}
        configured(settings, using="proxied")
        try:
            yield proxy
        finally:
            connections["proxied"].close()
            postgresql_pool.drop_all()
            del connections["proxied"], connections.settings["proxied"]


@pytest.mark.parametrize("verb", VERBS)
def test_a_change_whose_reply_was_lost_is_made_once(proxy: PostgresProxy, verb: str) -> None:
    call, answer, after = VERBS[verb]
    c = counter("a")
    c.set(10)
    call(counter("b"))  # prepared, so that the next reply is of the call

    proxy.lose_the_next_reply()
    assert call(c) == answer

    assert proxy.lost.is_set()
    assert c.read() == after
    assert len(c.history()) == after[1]


def test_a_connection_lost_inside_the_callers_transaction_applied_nothing(
    proxy: PostgresProxy,
) -> None:
    c = counter("a")
    with pytest.raises(StoreUnavailable), transaction.atomic(using="proxied"):
        c.add(1)
        proxy.lose_the_next_reply()
        c.add(1)
    connections["proxied"].close()

    assert c.read() == (0, 0)


@contextmanager
def written_by_another(c: Counter, op_id: str | None = None) -> Iterator[None]:
    """Another transaction has added 10 and is open."""
    written, over = threading.Event(), threading.Event()

    def write() -> None:
        with transaction.atomic():
            c.add(10, op_id=op_id)
            written.set()
            over.wait(20)

    with ThreadPoolExecutor(1) as other:
        writing = other.submit(disconnected, write)
        assert written.wait(10)
        try:
            yield
        finally:
            over.set()
            writing.result(10)


@pytest.mark.usefixtures("hasty")
def test_who_waits_for_a_row_too_long_is_not_applied_afterwards() -> None:
    c = counter("a")
    c.add(1)
    with written_by_another(c):
        begun = time.monotonic()
        with pytest.raises(StoreUnavailable):
            c.add(100)
        assert time.monotonic() - begun < DEADLINE_S + 0.5

    assert c.read() == (11, 2)


@pytest.mark.usefixtures("hasty")
def test_a_wait_that_was_refused_dooms_the_transaction_it_was_in() -> None:
    c = counter("a")
    c.add(1)
    with written_by_another(c), transaction.atomic():
        counter("b").add(1)
        with pytest.raises(StoreUnavailable):
            c.add(100)
        with pytest.raises(transaction.TransactionManagementError):
            counter("b").add(1)

    assert (c.get(), counter("b").get()) == (11, 0)


@pytest.mark.usefixtures("hasty")
def test_a_frozen_server_is_an_error_within_the_deadline(servers: Servers) -> None:
    c = counter("a")
    c.get()
    with frozen(servers):
        for call in (c.get, lambda: c.add(1), lambda: c.add_many([1]), lambda: c.set(1), c.history):
            begun = time.monotonic()
            with pytest.raises((OutcomeUnknown, StoreUnavailable)):
                call()
            assert time.monotonic() - begun < DEADLINE_S + 0.5
    until(lambda: _answers(c.get))
    # What was sent may have been applied, each once.
    assert c.get() in range(4)


def _answers(call: Callable[[], Any]) -> bool:
    try:
        call()
    except (OutcomeUnknown, StoreUnavailable):
        return False
    return True


def test_what_was_counted_and_answered_outlives_a_restart(servers: Servers) -> None:
    c = counter("a", minimum=0)
    c.add(5, op_id="five")
    with pytest.raises(BoundExceeded):
        c.add(-9, op_id="nine")
    servers.restart("postgresql")
    connections.close_all()

    assert c.add(5, op_id="five") == 5
    with pytest.raises(BoundExceeded):
        c.add(-9, op_id="nine")
    assert c.add(1) == 6


def test_a_server_killed_in_mid_load_counts_each_op_id_once(servers: Servers) -> None:
    c = counter("a")
    over = threading.Event()
    begun: list[list[str]] = [[], [], []]

    def load(ids: list[str]) -> None:
        while not over.is_set():
            ids.append(secrets.token_hex(8))
            with suppress(OutcomeUnknown, StoreUnavailable):
                c.add(1, op_id=ids[-1])

    with ThreadPoolExecutor(3) as threads:
        loads = [threads.submit(disconnected, partial(load, ids)) for ids in begun]
        until(lambda: all(len(ids) > 10 for ids in begun))
        psutil.Process(servers.pid("postgresql")).kill()
        until(lambda: _answers(c.get), within_s=30)
        over.set()
        for each in loads:
            each.result(20)
    connections.close_all()

    every = [op_id for ids in begun for op_id in ids]
    for op_id in every:
        c.add(1, op_id=op_id)
    assert c.read() == (len(every), len(every))


def test_old_answers_are_forgotten() -> None:
    c = counter("a")
    c.add_many([(1, f"op-{number}") for number in range(50)])
    c.add(1, op_id="kept")
    execute("default", "UPDATE concord_counter_answer SET until_us = 1 WHERE call <> 'kept'")
    store = counter_store(STORE)
    assert isinstance(store, PostgresCounters)
    store.tidy()

    assert execute("default", "SELECT call FROM concord_counter_answer") == [("kept",)]
    assert c.add(1, op_id="kept") == 51
    assert c.add(1, op_id="op-3") == 52


def test_inside_a_transaction_only_op_ids_are_remembered() -> None:
    c = counter("a")
    with transaction.atomic():
        c.add(1)
        c.add(2, op_id="two")

    assert execute("default", "SELECT call FROM concord_counter_answer") == [("two",)]


def test_the_events_are_those_of_the_project() -> None:
    counter("a").add(5, op_id="five")

    rows = execute(
        "default",
        "SELECT kind, name, version, data->>'id', (data->>'before')::int, (data->>'after')::int "
        "FROM concord_event WHERE object = 'counter'",
    )
    assert rows == [("counter.added", f"{STORE} a", 1, "five", 0, 5)]


def test_shards_are_rows_that_are_not_waited_for_by_each_other() -> None:
    c = counter("a", shards=8)
    c.add_many([(1, f"op-{number}") for number in range(64)])
    cell = c._cell
    assert isinstance(cell, PostgresCell)

    def row(op_id: str) -> int:
        return cell._shard(Change(Verb.ADD, op_id, 1, op_id=True))

    free = next(each for each in map(str, range(99)) if row(each) != row("writer"))
    with written_by_another(c, "writer"):
        assert c.add(1, op_id=free) == 65

    assert c.get() == 75
    rows = execute("default", "SELECT count(*), sum(value)::int FROM concord_counter")
    assert rows == [(8, 75)]


def test_who_does_not_declare_the_shards_is_refused() -> None:
    counter("a", shards=4).add_many([(1, f"op-{number}") for number in range(32)])
    plain = counter("a")

    for call in (lambda: plain.add(1), lambda: plain.set(1), lambda: plain.compare_and_set(32, 1)):
        with pytest.raises(InvalidArgument, match="shards"):
            call()
    assert plain.get() == 32


def test_batches_over_several_rows_do_not_deadlock() -> None:
    c = counter("a", shards=8)
    batch = [[(1, f"{who}-{number}") for number in range(30)] for who in range(4)]

    answers = at_once(*[lambda each=each: c.add_many(each) for each in batch])

    assert all(isinstance(each, int) for several in answers for each in several)
    assert c.get() == 120


def test_a_database_without_the_tables_is_an_error_that_names_the_remedy() -> None:
    call_command("migrate", "coordination", "0007", verbosity=0)
    try:
        with pytest.raises(StoreUnavailable, match="migrate"):
            counter("a").add(1)
        with pytest.raises(StoreUnavailable, match="migrate"), transaction.atomic():
            counter("a").add(1)
    finally:
        call_command("migrate", "coordination", verbosity=0)
    assert counter("a").add(1) == 1
