"""Fixtures every test may use. The servers behind them are started by ``tests/servers.py``."""

import gc
import os
import shutil
from collections.abc import Iterator
from typing import NoReturn
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connections

from config.servers import ServerError, Servers, binaries
from coordination import conf, registry
from coordination.transactions import breakers
from tests.servers import servers as run_servers

#: Settings alias → the variable that names its database.
DATABASE_VARIABLES = {"default": "DATABASE_URL", "bank_a": "BANK_A_URL", "bank_b": "BANK_B_URL"}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests begin first: a run that is divided ends when the last of them does."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="module", autouse=True)
def nothing_left_open() -> Iterator[None]:
    """What a module's tests leave open is told at its end, not in some innocent test after it."""
    yield
    # A server that they killed has taken the connection along.
    connections.close_all()
    gc.collect()


@pytest.fixture(autouse=True)
def nobody_is_unavailable() -> None:
    """What one test could not reach, the next one may."""
    breakers.clear()


@pytest.fixture(scope="session")
def servers() -> Servers:
    """The private servers of this run: their processes, restarts, URLs."""
    return run_servers


def missing(what: str) -> NoReturn:
    """A service this machine does not have: an error in CI, a named skip elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is needed in CI", pytrace=False)
    pytest.skip(f"{what} is not installed")


@pytest.fixture(scope="session")
def rabbitmq_installed() -> None:
    try:
        binaries.rabbitmq()
    except ServerError:
        missing("rabbitmq-server")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's program: the system's, not a download of Playwright's."""
    return shutil.which("chromium") or missing("chromium")


@pytest.fixture(scope="session")
def rabbitmq_url(servers: Servers) -> str:
    """A real RabbitMQ, started for the first test that asks."""
    if "RABBITMQ_URL" not in os.environ:
        try:
            binaries.rabbitmq()
        except ServerError:
            missing("rabbitmq-server")
    return servers.start("rabbitmq")["RABBITMQ_URL"]


@pytest.fixture(scope="session")
def zookeeper_installed() -> None:
    try:
        binaries.zookeeper()
    except ServerError:
        missing("libzookeeper-java")


@pytest.fixture(scope="session")
def zookeeper_hosts(servers: Servers, request: pytest.FixtureRequest) -> str:
    """A real ZooKeeper, started for the first test that asks."""
    if "ZOOKEEPER_HOSTS" not in os.environ:
        request.getfixturevalue("zookeeper_installed")
    return servers.start("zookeeper")["ZOOKEEPER_HOSTS"]


@pytest.fixture(scope="session")
def zookeeper_store(zookeeper_hosts: str) -> Iterator[str]:
    """The alias of a store in it, added to the settings that were read before it was started."""
    store = {"BACKEND": "zookeeper", "LOCATION": zookeeper_hosts}
    settings.COORDINATION["STORES"]["zookeeper"] = store
    conf.current.cache_clear()
    yield "zookeeper"
    # Before its server ends, which its connection would tell of.
    registry.zookeeper_store("zookeeper").close()


@pytest.fixture
def process_environment(transactional_db: None) -> dict[str, str]:
    """The environment of a process that is to work on this test's databases."""
    environment = dict(os.environ)
    for alias, variable in DATABASE_VARIABLES.items():
        url = urlsplit(os.environ.get(variable, os.environ["DATABASE_URL"]))
        environment[variable] = url._replace(path=f"/{settings.DATABASES[alias]['NAME']}").geturl()
    return environment
