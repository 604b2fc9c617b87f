"""The example service in a process of its own: asked, watched, frozen, killed, started again."""

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from config.servers.ports import free_port
from coordination.connections import http
from coordination.transactions import sweeper, tasks
from coordination.transactions.tables import Transaction
from tests.integration import broker, ledger

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"2026": "s" * 32}


class Service:
    """`examples.http_participant.service` with two accounts of 100 cents."""

    def __init__(self, folder: Path, keys: dict[str, str]) -> None:
        self.database = folder / "accounts.sqlite3"
        self.port = free_port()
        self.keys = keys
        self.log = folder / "service.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/branches?v=1"

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "examples.http_participant.service"),
                    *("--port", str(self.port), "--database", str(self.database)),
                ],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with self.process.stdin as keys:
            keys.write(json.dumps(self.keys).encode())
        assert self.process.stdout.readline(), self.log.read_text()

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def execute(self, sql: str, *params: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.database, timeout=10)) as connection, connection:
            return connection.execute(sql, params).fetchall()

    def fill(self) -> None:
        self.execute("DELETE FROM branch")
        self.execute("DELETE FROM account")
        self.execute("INSERT INTO account (name, cents) VALUES ('a', 100), ('b', 100)")

    def cents(self, account: str = "a") -> tuple[int, int]:
        """What is in an account, and what is set aside of it."""
        (row,) = self.execute("SELECT cents, held FROM account WHERE name = ?", account)
        return row[0], row[1]

    def states(self) -> list[str]:
        return [row[0] for row in self.execute("SELECT state FROM branch ORDER BY at")]


@pytest.fixture(scope="module", name="running_service")
def started_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("service"), KEYS)
    service.start()
    yield service
    http.close_idle()
    service.kill()


@pytest.fixture(name="service")
def routed_service(running_service: Service) -> Iterator[Service]:
    """The service as a participant `far.*` of the test's process, its accounts filled."""
    running_service.fill()
    with called(running_service.url):
        yield running_service
    running_service.signal(signal.SIGCONT)
    http.close_idle()


@contextmanager
def called(
    url: str,
    *,
    pattern: str = "far.*",
    timeout: float = 5,
    keys: dict[str, str] | None = None,
    **more: Any,
) -> Iterator[None]:
    """Participants of that pattern are called at this address."""
    options = {"URL": url, "KEYS": keys or KEYS, "TIMEOUT": timeout, "PLAIN_HTTP": True, **more}
    changes = {"HTTP_PARTICIPANTS": {pattern: options}}
    with override_settings(COORDINATION=django_settings.COORDINATION | changes):
        yield


def sweep() -> None:
    """What sweeper and workers of this node do, at once."""
    for _ in range(3):
        ledger.execute("default", "UPDATE concord_transaction SET next_at = '2000-01-01'")
        ledger.execute("default", "UPDATE concord_branch SET next_at = NULL")
        sweeper.sweep_once()
        node = django_settings.COORDINATION["NODE"]
        for queue, task in (
            (f"{node}.prepare", tasks.prepare_branches),
            (f"{node}.finish", tasks.finish_branches),
        ):
            asked = broker.messages(queue)
            with broker.queues() as client:
                client.delete(queue)
            for message in asked:
                task(**message.kwargs)


def expire(gid: str) -> None:
    """Let its deadline have passed."""
    sql = "UPDATE concord_transaction SET deadline_at = '2000-01-01' WHERE gid = %s"
    ledger.execute("default", sql, gid)


def state(gid: str) -> tuple[str | None, bool]:
    """Its outcome, and whether it has ended."""
    row = Transaction.objects.get(gid=gid)
    return row.outcome, row.ended_at is not None
