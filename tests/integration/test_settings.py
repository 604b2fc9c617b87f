"""Settings are production's by default, and production refuses what is unsafe."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCTION = {
    "SECRET_KEY": "0Zq8-a-long-random-key-drawn-for-this-test-alone-7fTz6Wb1xXn3",
    "ALLOWED_HOSTS": "concord.example",
    "ORIGINS": "https://concord.example",
}
OURS = (
    *("DEBUG", "DEMO", "HTTPS", "SECRET_KEY", "STATIC_MANIFEST", "ALLOWED_HOSTS", "ORIGINS"),
    *("BROKER", "FAILPOINTS", "CONN_MAX_AGE", "STATIC_ROOT", "PORT"),
)


def manage(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in OURS} | variables
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_production_passes_the_deployment_check() -> None:
    done = manage("check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_production_does_not_serve_without_a_secret_key() -> None:
    done = manage("shell", "--no-imports", "--command", "import config.asgi", **PRODUCTION)
    assert done.returncode == 0, done.stderr
    keyless = PRODUCTION | {"SECRET_KEY": ""}
    done = manage("shell", "--no-imports", "--command", "import config.asgi", **keyless)
    assert done.returncode != 0
    assert "SECRET_KEY" in done.stderr


def test_the_static_files_of_production_collect(tmp_path: Path) -> None:
    """Every file that a style sheet or module names exists, else hashing fails."""
    done = manage(
        "collectstatic", "--noinput", "--verbosity", "0", STATIC_ROOT=str(tmp_path), **PRODUCTION
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "staticfiles.json").exists()


@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_the_broker_is_chosen_by_name(broker: str) -> None:
    program = "from django.conf import settings; print(settings.CELERY_BROKER_URL.split(':')[0])"
    done = manage("shell", "--no-imports", "--command", program, BROKER=broker, **PRODUCTION)
    assert done.stdout.strip() == {"redis": "redis", "rabbitmq": "amqp"}[broker]


def test_an_unknown_broker_is_refused_by_name() -> None:
    done = manage("check", BROKER="kafka", **PRODUCTION)
    assert done.returncode != 0
    assert "BROKER" in done.stderr
    assert "kafka" in done.stderr


def test_no_migration_is_missing() -> None:
    done = manage("makemigrations", "--check", "--dry-run", DEMO="1", **PRODUCTION)
    assert done.returncode == 0, done.stdout
