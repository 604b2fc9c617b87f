"""A store of locks in a ZooKeeper of a test's own, and what is seen there from outside."""

import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError
from pytest_django import Settings

from coordination import registry
from coordination.locks.stores import lock_store
from coordination.locks.stores.zookeeper import ZooKeeperLocks
from coordination.locks.types import Kind
from tests.contract.locks.asking import until
from tests.integration.own_zookeeper import OwnZooKeeper

DEADLINE_S = 0.5
SESSION_S = 2.0


@pytest.fixture
def use(settings: Settings) -> Iterator[Callable[..., ZooKeeperLocks]]:
    """Make a ZooKeeper the store of locks."""

    def use(
        location: str, *, deadline_s: float = DEADLINE_S, session_s: float = SESSION_S
    ) -> ZooKeeperLocks:
        options = {"DEADLINE": deadline_s, "CONNECT": deadline_s, "SESSION": session_s}
        store = {"BACKEND": "zookeeper", "LOCATION": location, "OPTIONS": options}
        settings.COORDINATION = {"NODE": "test", "STORES": {"zookeeper": store}}
        locks = lock_store("zookeeper")
        assert isinstance(locks, ZooKeeperLocks)
        return locks

    yield use
    registry.zookeeper_store("zookeeper").close()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def root() -> str:
    """A node of this test's own."""
    return f"/test-{secrets.token_hex(4)}"


@pytest.fixture
def own(
    own_zookeeper: OwnZooKeeper, use: Callable[..., ZooKeeperLocks], root: str
) -> ZooKeeperLocks:
    """Locks below a node of this test's own."""
    return use(f"{own_zookeeper.hosts}{root}")


@contextmanager
def within_the_deadline() -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < DEADLINE_S + 0.5


@contextmanager
def frozen(server: OwnZooKeeper) -> Iterator[None]:
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


def client_of(alias: str = "zookeeper") -> KazooClient:
    """The client of this process."""
    life = registry.zookeeper_store(alias)._life
    assert life is not None
    return life.client


def end_session(server: OwnZooKeeper) -> None:
    """As ZooKeeper would after a long silence; returns when this process has another session."""
    store = registry.zookeeper_store("zookeeper")
    session, password = client_of().client_id
    server.end_session(session, password)
    until(lambda: store.session not in (None, session))


def claims(server: OwnZooKeeper, root: str, name: str, kind: Kind = Kind.LOCK) -> list[str]:
    """The nodes below a name, seen from outside."""
    with server.client() as client:
        try:
            return client.get_children(f"{root}/concord/{kind}/{name}")
        except NoNodeError:
            return []


def names(server: OwnZooKeeper, root: str) -> list[str]:
    with server.client() as client:
        return client.get_children(f"{root}/concord/lock")


PROCESS = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
import django
from django.conf import settings
django.setup()
location, what = sys.argv[1:]
store = {"BACKEND": "zookeeper", "LOCATION": location, "OPTIONS": {"SESSION": 2}}
settings.COORDINATION = {"NODE": "other", "STORES": {"zookeeper": store}}
from coordination import lock
one = lock("a", ttl=60, wait=60)
if what == "hold":
    one.acquire()
    print("ready", flush=True)
    sys.stdin.read()
else:
    print("ready", flush=True)
    one.acquire()
    print("granted", flush=True)
    sys.stdin.read()
"""


@contextmanager
def other_process(location: str, what: str) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that holds the lock `a`, or waits for it."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, location, what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        for end in (process.stdin, process.stdout):
            assert end is not None
            end.close()
