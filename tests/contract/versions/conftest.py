"""Versioned rows and names on each store."""

import secrets

import pytest

from tests.guarded.installing import _django_db_helper, app, on_postgresql, store, using

__all__ = ["_django_db_helper", "app", "name", "on_postgresql", "store", "using"]


@pytest.fixture
def name() -> str:
    return f"test:{secrets.token_hex(6)}"
