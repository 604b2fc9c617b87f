"""/readyz names the server that is missing, within its deadline, whatever is wrong with it."""

import os
import signal
from collections.abc import Iterator
from time import monotonic

import pytest
from django.conf import settings
from django.db import connection
from django.test import AsyncClient, Client

from config import health
from config.servers import Servers
from config.servers.ports import free_port

pytestmark = pytest.mark.django_db(databases=["default", "bank_a", "bank_b"], transaction=True)


@pytest.fixture(autouse=True)
def fresh_answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(health, "FRESH_S", -1.0)
    return


@pytest.fixture
def frozen_redis(servers: Servers) -> Iterator[None]:
    pid = servers.pid("redis")
    os.kill(pid, signal.SIGSTOP)
    yield
    os.kill(pid, signal.SIGCONT)


async def ready() -> tuple[int, dict[str, str]]:
    response = await AsyncClient().get("/readyz")
    return response.status_code, response.json()["problems"]


def test_livez_needs_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Client().get("/livez").status_code == 200


async def test_readyz_is_200_when_all_is_there() -> None:
    assert await ready() == (200, {})


async def test_readyz_answers_in_time_while_a_server_is_frozen(frozen_redis: None) -> None:
    asked_at = monotonic()
    status, problems = await ready()
    assert (status, set(problems)) == (503, {"redis"})
    assert monotonic() - asked_at < health.PROBE_S + 1


async def test_readyz_names_each_database_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.DATABASES["bank_b"], "PORT", str(free_port()))
    assert await ready() == (503, {"bank_b": "OperationalError"})


async def test_readyz_names_a_database_that_is_not_migrated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(settings.DATABASES["bank_a"], "NAME", "postgres")
    assert await ready() == (503, {"bank_a": "not migrated"})


async def test_readyz_counts_the_migrations_that_are_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = health._known_migrations() | {("coordination", "9999_not_yet")}
    monkeypatch.setattr(health, "_known_migrations", lambda: known)
    _, problems = await ready()
    assert problems == dict.fromkeys(settings.DATABASES, "1 migrations not applied")


async def test_readyz_names_the_broker(
    monkeypatch: pytest.MonkeyPatch, settings: object, rabbitmq_url: str
) -> None:
    settings.BROKER = "rabbitmq"
    settings.RABBITMQ_URL = rabbitmq_url
    assert await ready() == (200, {})
    settings.RABBITMQ_URL = f"amqp://127.0.0.1:{free_port()}//"
    assert await ready() == (503, {"rabbitmq": "ConnectionRefusedError"})


def test_a_problem_says_nothing_about_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.DATABASES["bank_b"], "PORT", str(free_port()))
    text = Client().get("/readyz").content.decode()
    assert "127.0.0.1" not in text
    assert connection.settings_dict["USER"] not in text.replace("OperationalError", "")
