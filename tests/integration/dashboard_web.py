"""A real web process on the test databases, to be asked, watched, killed and started again."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client

from config.servers.ports import free_port
from coordination.connections import postgresql_listener, postgresql_pool
from tests.conftest import DATABASE_VARIABLES

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "tell-no-one-7"
START_S = 30
OTHERS = """
SELECT array_agg(query) FROM pg_stat_activity WHERE datname = current_database()
AND backend_type = 'client backend' AND pid <> pg_backend_pid()"""


@dataclass
class Web:
    """uvicorn with production's flags; `log` holds all it ever said."""

    port: int
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [
            *(sys.executable, "-m", "uvicorn", "config.asgi:application", "--host", "127.0.0.1"),
            *("--port", str(self.port), "--lifespan", "off", "--no-access-log"),
            *("--log-level", "warning", "--ws-max-size", "65536"),
            *("--timeout-graceful-shutdown", "1"),
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=log
            )
        until = time.monotonic() + START_S
        while not self._answers():
            assert time.monotonic() < until, "the web process did not start"
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=0.05)
                raise AssertionError(self.log.read_text())

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/livez", timeout=2):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=10)


@pytest.fixture(scope="module")
def web(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """The web process of one module, its files hashed as in production."""
    folder = tmp_path_factory.mktemp("web")
    port = free_port()
    environment = {
        **os.environ,
        "PORT": str(port),
        "STATIC_MANIFEST": "1",
        "STATIC_ROOT": str(folder / "static"),
        "LOG_LEVEL": "WARNING",
    }
    for alias, variable in DATABASE_VARIABLES.items():
        url = urlsplit(os.environ.get(variable, os.environ["DATABASE_URL"]))
        environment[variable] = url._replace(path=f"/{settings.DATABASES[alias]['NAME']}").geturl()
    subprocess.run(
        [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity", "0"],
        cwd=ROOT,
        env=environment,
        check=True,
    )
    running = Web(port=port, environment=environment, log=folder / "web.log")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def settled(transactional_db: None) -> Iterator[None]:
    """The web process lets go of the database before the test's data is truncated: a query
    over several tables can deadlock with that. With no socket and no request it has none."""
    yield
    # This process's own, left by tests of locks.
    postgresql_listener.stop_all()
    postgresql_pool.drop_all()
    until = time.monotonic() + START_S
    with connection.cursor() as cursor:
        while True:
            cursor.execute(OTHERS)
            (others,) = cursor.fetchone()
            if not others:
                return
            assert time.monotonic() < until, f"connections of others stay open: {others}"
            cursor.execute("SELECT pg_sleep(0.02)")


def make_user(name: str, *permissions: str, **fields: Any) -> User:
    """A user with these permissions of the app `coordination`."""
    user = User.objects.create_user(name, password=PASSWORD, **fields)
    for codename in permissions:
        user.user_permissions.add(
            Permission.objects.get(content_type__app_label="coordination", codename=codename)
        )
    return user


def viewer(name: str = "vera") -> User:
    """Somebody who may look."""
    return make_user(name, "view_transactionrecord")


def operator(name: str = "otto") -> User:
    """Somebody who may act."""
    return make_user(name, "view_transactionrecord", "resolve_transaction", is_staff=True)


def signed_in(user: User) -> Client:
    """A client that pages know as this user."""
    client = Client()
    client.force_login(user)
    return client


def session_of(user: User) -> str:
    """The session cookie of a fresh login."""
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value
