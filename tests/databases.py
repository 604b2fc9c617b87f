"""Databases for tests that commit for real: emptied of Concord's rows after each.

A module that imports ``_django_db_helper`` replaces pytest-django's fixture of that name, the one
behind ``@pytest.mark.django_db``. The original truncates every table of every app after each test,
which takes a hundred times as long, and forbids aliases that a test adds itself.
"""

from collections.abc import Iterator
from functools import cache

import pytest
from django.db import connections
from pytest_django import DjangoDbBlocker

ALIASES = ["default", "bank_a", "bank_b"]
#: A user whom one test leaves is one whom the next cannot make.
PEOPLE = ("django_admin_log", "auth_user_groups", "auth_user_user_permissions", "auth_user")
PREPARED = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"


@pytest.fixture
def _django_db_helper(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield
        for using in ALIASES:
            empty(using)


def empty(using: str) -> None:
    """End what is prepared, and delete Concord's rows and the users in one database."""
    with connections[using].cursor() as cursor:
        cursor.execute(PREPARED)
        for (gid,) in cursor.fetchall():
            cursor.execute(f"ROLLBACK PREPARED '{gid}'")
        # In one transaction, at whose end foreign keys are looked at.
        cursor.execute("; ".join(f"DELETE FROM {table}" for table in tables(using)))


@cache
def tables(using: str) -> tuple[str, ...]:
    """Those that tests write to."""
    there = connections[using].introspection.table_names()
    ours = [table for table in there if table.startswith("concord_")]
    return (*ours, *(table for table in PEOPLE if table in there))
