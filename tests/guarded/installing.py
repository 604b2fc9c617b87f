"""Fixtures: the app installed, its tables on PostgreSQL or SQLite, and a store in each."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connections
from django.test.utils import modify_settings
from pytest_django import DjangoDbBlocker, Settings

from tests.contract import places
from tests.guarded import models

LOGS = ("django_admin_log", "django_session", "auth_user")
__all__ = ["_django_db_helper", "app", "on_postgresql", "store", "using"]


@pytest.fixture
def _django_db_helper(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Instead of pytest-django's, which truncates every table and forbids aliases made here."""
    with django_db_blocker.unblock():
        yield
        empty("default")


def empty(alias: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute("DELETE FROM concord_optimistic")
        cursor.execute("DELETE FROM concord_event WHERE object = 'optimistic'")
        cursor.execute("DELETE FROM concord_lock_refusal")
        for table in LOGS:
            cursor.execute(f"DELETE FROM {table}")


@pytest.fixture(scope="module")
def app() -> Iterator[None]:
    with modify_settings(INSTALLED_APPS={"append": "tests.guarded"}):
        yield


@pytest.fixture(params=["default", "lite"])
def using(
    request: pytest.FixtureRequest,
    app: None,
    transactional_db: None,
    settings: Settings,
    tmp_path: Path,
) -> Iterator[str]:
    """The database alias under test; the store on it has the same alias, or `database`."""
    alias: str = request.param
    name_stores(settings)
    if alias == "default":
        with tables(alias):
            yield alias
    else:
        with sqlite(tmp_path):
            yield alias


@pytest.fixture(params=["redis", "default", "lite"])
def store(
    request: pytest.FixtureRequest,
    app: None,
    transactional_db: None,
    settings: Settings,
    tmp_path: Path,
) -> Iterator[str]:
    """The store under test. A database store has the alias of its database, and the tables."""
    alias: str = request.param
    name_stores(settings)
    if alias == "lite":
        with sqlite(tmp_path):
            yield alias
    else:
        with tables("default"):
            yield alias


@contextmanager
def sqlite(folder: Path) -> Iterator[None]:
    """A database in which one writes while another reads."""
    with places.sqlite(folder), tables(places.LITE):
        with connections[places.LITE].cursor() as cursor:
            cursor.execute("PRAGMA journal_mode = WAL")
        yield


def name_stores(settings: Settings) -> None:
    """A store on each database, under the database's alias."""
    stores = dict(settings.COORDINATION["STORES"])
    for alias in ("default", "lite"):
        stores[alias] = {"BACKEND": "database", "USING": alias}
    settings.COORDINATION = settings.COORDINATION | {"STORES": stores}


@pytest.fixture
def on_postgresql(app: None, transactional_db: None) -> Iterator[None]:
    """The tables on PostgreSQL alone."""
    with tables("default"):
        yield


@contextmanager
def tables(alias: str) -> Iterator[None]:
    connection = connections[alias]
    with connection.schema_editor() as editor:
        for model in models.TABLES:
            editor.create_model(model)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            for model in reversed(models.TABLES):
                cursor.execute(f"DROP TABLE {model._meta.db_table}")
