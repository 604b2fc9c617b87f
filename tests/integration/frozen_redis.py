"""The tests' Redis stopped for a while."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from config.servers import Servers


@pytest.fixture
def freeze_redis(servers: Servers) -> Iterator[Callable[[], None]]:
    """A function that stops it from answering; it runs again afterwards."""
    pid = servers.pid("redis")
    yield lambda: os.kill(pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGCONT)
