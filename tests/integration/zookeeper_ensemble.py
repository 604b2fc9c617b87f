"""An ensemble of three ZooKeepers of one module's own, whose servers tests may freeze and kill."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from coordination import registry
from coordination.exceptions import OutcomeUnknown, StoreUnavailable
from coordination.locks.stores.zookeeper import ZooKeeperLocks
from tests.contract.locks.asking import until
from tests.integration.own_zookeeper import OwnZooKeeper, free_port
from tests.integration.zookeeper_store import client_of, frozen

NUMBERS = (1, 2, 3)


class Ensemble:
    """Three servers, and which of them is what."""

    def __init__(self, servers: list[OwnZooKeeper]) -> None:
        self.servers = servers
        self.hosts = ",".join(each.hosts for each in servers)

    def heal(self) -> None:
        """Start those that were killed, and wait until all serve."""
        for each in self.servers:
            if each.process.poll() is not None:
                each.launch()
        until(lambda: all(each.mode() for each in self.servers), within_s=30)

    @property
    def leader(self) -> OwnZooKeeper:
        return next(each for each in self.servers if each.mode() == "leader")

    @property
    def followers(self) -> list[OwnZooKeeper]:
        return [each for each in self.servers if each.mode() == "follower"]

    def connected(self) -> OwnZooKeeper | None:
        """The server that this process's client talks to."""
        client = client_of()
        try:
            port = client._connection._socket.getpeername()[1]
        except (OSError, AttributeError):
            return None
        return next(each for each in self.servers if each.port == port)

    def connect_to(self, store: ZooKeeperLocks, *wanted: OwnZooKeeper) -> OwnZooKeeper:
        """Have the client connected to one of these; it chooses by chance."""

        def found() -> bool:
            with_patience(store)
            if self.connected() in wanted:
                return True
            registry.zookeeper_store("zookeeper").close()
            return False

        until(found, within_s=30)
        server = self.connected()
        assert server is not None
        return server

    @contextmanager
    def frozen(self, *servers: OwnZooKeeper) -> Iterator[None]:
        with ExitStack() as stack:
            for each in servers:
                stack.enter_context(frozen(each))
            yield


def with_patience(store: ZooKeeperLocks) -> int:
    """Its highest token, asked for as long as it does not answer."""
    told: list[int] = []

    def asked() -> bool:
        try:
            told.append(store.highest_token())
        except (StoreUnavailable, OutcomeUnknown):
            return False
        return True

    until(asked, within_s=30)
    return told[0]


@pytest.fixture(scope="module")
def _servers(
    zookeeper_installed: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ensemble]:
    folder = tmp_path_factory.mktemp("ensemble")
    peers = tuple(f"server.{number}=127.0.0.1:{free_port()}:{free_port()}" for number in NUMBERS)
    servers = [OwnZooKeeper(folder, number=number, peers=peers) for number in NUMBERS]
    try:
        for each in servers:
            each.launch()
        yield Ensemble(servers)
    finally:
        for each in servers:
            each.kill()


@pytest.fixture
def ensemble(_servers: Ensemble) -> Ensemble:
    """Three servers, all of which serve."""
    _servers.heal()
    return _servers
