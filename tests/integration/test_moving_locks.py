"""Names that move to another store, and back."""

import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from pytest_django import Settings

from coordination import lock
from tests.contract.locks.asking import held
from tests.integration.own_redis import OwnRedis
from tests.lock_stores import postgresql_locks, redis_locks, sqlite_locks, zookeeper_locks

__all__ = ["postgresql_locks", "redis_locks", "sqlite_locks", "zookeeper_locks"]

DATABASE = pytest.mark.django_db(transaction=True)


@pytest.fixture
def other(tmp_path: Path, settings: Settings) -> Iterator[str]:
    """A Redis beside the run's own."""
    server = OwnRedis(tmp_path)
    stores = django_settings.COORDINATION["STORES"]
    settings.COORDINATION = django_settings.COORDINATION | {
        "STORES": stores | {"other": {"BACKEND": "redis", "LOCATION": server.url}}
    }
    try:
        yield "other"
    finally:
        server.kill()


def move(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    with redirect_stdout(out):
        call_command("concord", "move", "lock", "moved:*", "--json", *arguments)
    told: dict[str, Any] = json.loads(out.getvalue())
    return told


def token(name: str, alias: str) -> int:
    with lock(name, using=alias) as grant:
        return grant.token


@pytest.mark.parametrize(
    "target",
    [
        pytest.param("postgresql", marks=DATABASE),
        pytest.param("sqlite"),
        pytest.param("zookeeper"),
    ],
)
def test_tokens_rise_over_a_move_and_back(target: str, request: pytest.FixtureRequest) -> None:
    there: str = request.getfixturevalue(f"{target}_locks")
    tokens = [token("moved:a", "redis")]
    for to, source in ((there, "redis"), ("redis", there), (there, "redis")):
        move("--to", to, "--from", source)
        # What is still running gives a last token on the old store.
        last = token("moved:a", source)
        tokens += [last, token("moved:a", to), token("moved:a", to)]

    assert tokens == sorted(set(tokens))


def test_the_route_to_deploy_is_told(other: str) -> None:
    before = token("moved:a", "redis")
    out = StringIO()
    with redirect_stdout(out):
        call_command("concord", "move", "lock", "moved:*", "--to", other)

    assert '("lock", "moved:*", "other"),' in out.getvalue()
    assert token("moved:a", other) > before


def test_what_makes_no_sense_moves_nothing(other: str) -> None:
    for arguments, told in (
        (("--to", "redis", "--from", "redis"), "moved to itself"),
        (("--to", "nowhere"), "nowhere"),
    ):
        with pytest.raises(CommandError, match=told):
            move(*arguments)
    assert held(lock("moved:a", using=other).acquire()).release() is None
