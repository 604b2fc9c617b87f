"""A caller that is killed at a step, and a coordinator's database that lets nobody in."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connections

from coordination import failpoints
from tests.integration import ledger
from tests.integration.forked_child import fork


@pytest.fixture
def die_at(tmp_path: Path) -> Callable[[str, Callable[[], object]], None]:
    """A function that does some work in a process that is killed at a step of it."""

    def die_at(step: str, work: Callable[[], object]) -> None:
        (tmp_path / f"{step}.arm").write_text(json.dumps({"action": "kill"}))

        def child() -> bool:
            failpoints._directory = str(tmp_path)
            work()
            return True

        connections.close_all()
        _, status = os.waitpid(fork(child), 0)
        assert os.waitstatus_to_exitcode(status) == -9

    return die_at


@contextmanager
def coordinator_closed() -> Iterator[None]:
    """Nobody can connect to the coordinator's database, and whoever was connected is thrown out."""
    name = connections["default"].settings_dict["NAME"]
    connections["default"].close()
    allow = f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS'
    ledger.execute("bank_a", f"{allow} false")
    try:
        ledger.execute(
            "bank_a",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            name,
        )
        yield
    finally:
        ledger.execute("bank_a", f"{allow} true")
        connections["default"].close()


def prepared() -> list[str]:
    """What is prepared at either bank."""
    return ledger.prepared("bank_a") + ledger.prepared("bank_b")
