"""Two Django projects that share neither database nor broker: one calls the other by HTTP."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from config.servers.ports import free_port
from coordination import distributed_transaction
from coordination.connections import http
from coordination.transactions import runner
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import ledger
from tests.integration.http_service import called, expire, state, sweep

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

ROOT = Path(__file__).resolve().parents[2]
KEYS = {"2026": "s" * 32}
START_S = 30


class Project:
    """The other project's web process."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        callers = {django_settings.COORDINATION["NODE"]: {"KEYS": KEYS, "PARTICIPANTS": ["test.*"]}}
        self._environment = environment | {"HTTP_CALLERS": json.dumps(callers)}
        self._log = log
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/concord/branches/"

    def start(self) -> None:
        command = [
            *(sys.executable, "-m", "uvicorn", "tests.integration.http_project:server"),
            *("--host", "127.0.0.1", "--port", str(self.port), "--lifespan", "off"),
            *("--log-level", "warning"),
        ]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdout=log, stderr=log
            )
        until = time.monotonic() + START_S
        while not self._listens():
            assert time.monotonic() < until, self._log.read_text()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=0.05)
                raise AssertionError(self._log.read_text())

    def _listens(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def project(process_environment: dict[str, str], tmp_path: Path) -> Iterator[Project]:
    """The other project, which is called for `test.b.*`."""
    running = Project(process_environment, tmp_path / "log")
    with ledger.ledgers():
        running.start()
        with called(running.url, pattern="test.b.*"):
            yield running
        http.close_idle()
        running.kill()


def move(cents: int = 10) -> str:
    tx = distributed_transaction("export", wait=False)
    tx.enlist("test.b.add", cents=cents)
    tx.enlist("test.a.add", cents=-cents)
    return tx.submit()


def amounts() -> tuple[int, int]:
    return ledger.amount("bank_a"), ledger.amount("bank_b")


def test_both_commit_or_none(project: Project) -> None:
    committed, refused = move(), move(-500)

    assert (state(committed), state(refused)) == (("committed", True), ("aborted", True))
    assert (amounts(), ledger.prepared("bank_b")) == ((90, 110), [])


def test_a_project_killed_between_prepare_and_commit_commits_when_it_is_back(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    cast = runner.cast

    def kill_and_cast(*args: object, **kwargs: object) -> object:
        project.kill()
        return cast(*args, **kwargs)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(runner, "cast", kill_and_cast)
        gid = move()
    assert (state(gid), len(ledger.prepared("bank_b"))) == (("committed", False), 1)
    sweep()
    assert state(gid) == ("committed", False)

    project.start()
    sweep()
    assert (state(gid), amounts(), ledger.prepared("bank_b")) == (
        ("committed", True),
        (90, 110),
        [],
    )


def test_a_frozen_project_keeps_nothing_prepared_after_the_abort(project: Project) -> None:
    project.process.send_signal(signal.SIGSTOP)
    with called(project.url, pattern="test.b.*", timeout=0.3):
        gid = move()
        expire(gid)
        sweep()
    assert state(gid) == ("aborted", False)
    project.process.send_signal(signal.SIGCONT)
    sweep()

    assert (state(gid), amounts(), ledger.prepared("bank_b")) == (("aborted", True), (100, 100), [])
