"""Pytest plugin: real servers for the run, started before Django reads its settings.

``pytest tests/unit tests/architecture`` needs none and starts none. RabbitMQ and ZooKeeper
wait for the first test that asks for ``rabbitmq_url`` or ``zookeeper_hosts``.

``pytest -n auto`` divides the files among processes, and each has servers of its own: a test
may stop, freeze or kill them. Where the environment names a server there is one process.
"""

import argparse
import os
from collections.abc import Generator
from pathlib import Path

import pytest

from config.servers import Servers
from config.servers.kinds import VARIABLES

#: Tests wait for servers more than they compute.
_PROCESSES = 3
_WORKER = "PYTEST_XDIST_WORKER"
_PURE = ("tests/unit", "tests/architecture")

servers = Servers("postgresql", "redis")


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config,
) -> Generator[None, None, None]:
    """Before pytest-django's own hook, which loads the settings."""
    os.environ.update(
        DEBUG="0", DEMO="1", HTTPS="0", SECRET_KEY="only-for-tests", STATIC_MANIFEST="0"
    )
    os.environ.pop("CONCORD_FAILPOINTS_DIR", None)
    if _need_servers(early_config):
        # Given by the environment or private: from here on every process is told.
        os.environ.update(servers.start("postgresql", "redis"))
    try:
        return (yield)
    except BaseException:
        servers.close()
        raise


def pytest_unconfigure() -> None:
    servers.close()


# pytest-xdist has an answer of its own: the number of cores.
@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers() -> int:
    """For ``-n auto``: 0 keeps all tests in this process."""
    shared = any(variable in os.environ for variable in VARIABLES.values())
    return 0 if shared else _PROCESSES


def _divides(options: argparse.Namespace) -> bool:
    """Whether this process only hands tests to others."""
    if _WORKER in os.environ:
        return False
    wanted = options.numprocesses
    return bool(pytest_xdist_auto_num_workers() if wanted == "auto" else wanted)


def _need_servers(config: pytest.Config) -> bool:
    options = config.known_args_namespace
    if options.help or options.version or options.collectonly or _divides(options):
        return False
    root = config.rootpath
    chosen = [
        Path(os.path.relpath(name.partition("::")[0], root)).as_posix()
        for name in options.file_or_dir
    ]
    return not chosen or not all(path.startswith(_PURE) for path in chosen)
