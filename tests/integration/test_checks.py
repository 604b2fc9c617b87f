"""Each system check speaks when it should, with its stable id and a remedy; else it is silent."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.core.checks import CheckMessage, run_checks
from django.db import connections
from pytest_django import Settings

from coordination import checks, conf, failpoints, registry, tasks
from coordination.exceptions import InvalidArgument, NotSupportedByStore
from coordination.transactions import participants
from tests.integration.concord_command import manage

ROOT = Path(__file__).resolve().parents[2]


def _found(check: Callable[..., list[CheckMessage]], **options: Any) -> list[str]:
    messages = check(app_configs=None, **options)
    assert all(message.hint or message.id == "concord.E001" or "Did you mean" in str(message.msg)
               for message in messages), messages  # fmt: skip
    return [str(message.id).removeprefix("concord.") for message in messages]


def _with_store(location: str) -> dict[str, Any]:
    return {"NODE": "bank", "STORES": {"redis": {"BACKEND": "redis", "LOCATION": location}}}


@pytest.fixture
def always_in_a_transaction(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Turns autocommit off and atomic requests on for an alias, in the settings alone."""

    def change(alias: str) -> None:
        monkeypatch.setitem(settings.DATABASES[alias], "AUTOCOMMIT", False)
        monkeypatch.setitem(settings.DATABASES[alias], "ATOMIC_REQUESTS", True)

    return change


@pytest.fixture
def registered() -> Iterator[Callable[..., None]]:
    """Registers participants for one test."""
    before = dict(participants._registry)

    def register(name: str, *, using: str) -> None:
        participants.participant(name, using=using)(lambda ctx: None)

    yield register
    participants._registry.clear()
    participants._registry.update(before)


@pytest.fixture
def celery_conf() -> Iterator[Any]:
    """The project's Celery configuration, put back after the test."""
    before = {key: current_app.conf[key] for key in ("accept_content", "broker_url")}
    yield current_app.conf
    current_app.conf.update(before)


def test_the_project_itself_is_clean() -> None:
    assert run_checks(tags=[checks.TAG]) == []


def test_e001_settings_are_wrong_and_every_other_check_stays_silent(
    settings: Settings,
) -> None:
    settings.COORDINATION = {"NODES": "x"}

    assert [message.id for message in run_checks(tags=[checks.TAG])] == ["concord.E001"]


def test_w001_the_service_has_no_name(settings: Settings) -> None:
    settings.COORDINATION = {}

    assert _found(checks.check_settings) == ["W001"]


def test_e002_the_coordinators_alias_is_unknown(settings: Settings) -> None:
    settings.COORDINATION = {"TRANSACTIONS": {"USING": "defualt"}}

    assert _found(checks.check_coordinator) == ["E002"]


def test_e003_the_coordinator_is_not_postgresql(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections["default"], "vendor", "sqlite")

    assert _found(checks.check_coordinator) == ["E003"]


def test_e004_and_e005_the_coordinators_alias_is_always_in_a_transaction(
    always_in_a_transaction: Callable[[str], None],
) -> None:
    always_in_a_transaction("default")

    assert _found(checks.check_coordinator) == ["E004", "E005"]


def test_e004_and_e005_a_participants_alias_is_always_in_a_transaction(
    always_in_a_transaction: Callable[[str], None],
) -> None:
    always_in_a_transaction("bank_a")

    assert _found(checks.check_participants) == ["E004", "E005"]


def test_e006_a_participants_alias_is_unknown(registered: Callable[..., None]) -> None:
    registered("stock.reserve", using="bank_aa")

    assert _found(checks.check_participants) == ["E006"]


def test_e007_an_xa_participant_is_on_a_database_that_cannot_prepare(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections["bank_a"], "vendor", "sqlite")

    assert _found(checks.check_participants) == ["E007"]


@pytest.mark.parametrize(
    ("store", "cache", "ids"),
    [
        ("redis://localhost:6380/1", "redis://127.0.0.1:6380/1", ["E009"]),
        ("redis://u:a@h/1", "rediss://u:b@H:6379/1", ["E009"]),
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1", ["E009"]),
        ("redis://h/1", "redis://h/2", []),
        ("redis://h:1/1", "redis://h:2/1", []),
        ("redis://h/1", "memcached://h/1", []),
    ],
)
def test_e009_a_cache_shares_the_stores_redis_database(
    settings: Settings, store: str, cache: str, ids: list[str]
) -> None:
    settings.COORDINATION = _with_store(store)
    settings.CACHES = {"default": {"BACKEND": "x", "LOCATION": [cache]}}

    assert _found(checks.check_redis_is_not_shared) == ids


def test_e009_the_broker_shares_the_stores_redis_database(
    settings: Settings, celery_conf: Any
) -> None:
    celery_conf.broker_url = "redis://one/0;redis://two/3"
    settings.COORDINATION = _with_store("redis://two/3")

    assert _found(checks.check_redis_is_not_shared) == ["E009"]


@pytest.mark.parametrize("name", ["acks_late", "reject_on_worker_lost"])
def test_e010_a_killed_worker_would_lose_a_task(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.prepare_branches, name, False)

    assert _found(checks.check_celery) == ["E010"]


def test_e011_celery_accepts_pickles(celery_conf: Any) -> None:
    celery_conf.accept_content = ["json", "pickle"]

    assert _found(checks.check_celery) == ["E011"]


def test_e011_a_task_is_not_sent_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks.prepare_branches, "serializer", "pickle")

    assert _found(checks.check_celery) == ["E011"]


@pytest.mark.parametrize("ttl", [3600, 86_399])
def test_e012_answers_are_forgotten_too_early(settings: Settings, ttl: int) -> None:
    settings.COORDINATION = {"NODE": "bank", "OP_ID_TTL": ttl}

    assert _found(checks.check_celery) == ["E012"]


def test_w002_celery_reconnects_around_every_task(settings: Settings) -> None:
    done = manage("check", "--fail-level", "WARNING", code="CELERY_DB_REUSE_MAX = None")

    assert "concord.W002" in done.stderr


def test_e013_failpoints_in_production(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert _found(checks.check_no_failpoints) == []

    settings.COORDINATION = {"NODE": "bank", "FAILPOINTS": True}
    assert _found(checks.check_no_failpoints) == ["E013"]

    settings.COORDINATION = {"NODE": "bank"}
    monkeypatch.setattr(failpoints, "_directory", str(tmp_path))
    assert _found(checks.check_no_failpoints) == ["E013"]


@pytest.mark.parametrize(("debug", "ids"), [(False, ["E014"]), (True, [])])
def test_e014_an_in_memory_channel_layer_outside_development(
    settings: Settings, debug: bool, ids: list[str]
) -> None:
    settings.DEBUG = debug
    layer = {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    settings.CHANNEL_LAYERS = {"default": layer}

    assert _found(checks.check_channel_layer) == ids


def test_a_plain_check_asks_no_server(settings: Settings) -> None:
    settings.COORDINATION = _with_store("redis://127.0.0.1:1/1")

    assert _found(checks.check_servers) == []
    assert _found(checks.check_servers, databases=None) == []


def test_the_settings_are_parsed_once_and_again_after_a_change(settings: Settings) -> None:
    assert conf.current() is conf.current()

    settings.COORDINATION = {"NODE": "other"}

    assert conf.current().node == "other"


def test_stores_are_found_by_route_and_unknown_aliases_refused() -> None:
    assert registry.route("lock", "order:42") == "redis"
    assert registry.route("lock", "order:42", using="database") == "database"
    assert registry.redis_store("redis") is registry.redis_store("redis")
    with pytest.raises(InvalidArgument, match="Did you mean 'redis'"):
        registry.route("lock", "order:42", using="rediss")
    with pytest.raises(NotSupportedByStore, match="a Redis is needed here"):
        registry.redis_store("database")
