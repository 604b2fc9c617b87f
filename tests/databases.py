"""Databases for tests that commit for real: emptied of Concord's rows after each.

A module that imports ``_django_db_helper`` replaces pytest-django's fixture of that name, the one
behind ``@pytest.mark.django_db``. The original truncates every table of every app after each test,
which takes a hundred times as long, and forbids aliases that a test adds itself.
"""

from collections.abc import Iterator

import pytest
from django.db import connections
from pytest_django import DjangoDbBlocker

ALIASES = ["default", "bank_a", "bank_b"]
COORDINATOR = (
    *("concord_branch", "concord_transaction", "concord_event"),
    *("concord_continuation", "concord_lock_record", "concord_lock_grant"),
    "concord_lock_refusal",
    "concord_queue_sweep",
    *("concord_queue_message", "concord_queue_tally", "concord_queue_answer"),
    *("concord_queue_dedup", "concord_queue_waiter", "concord_queue"),
    *("concord_register", "concord_acceptor_cell", "concord_consensus_seat"),
    *("concord_lock_claim", "concord_lock_answer", "concord_lock", "concord_lock_floor"),
)
#: A user whom one test leaves is one whom the next cannot make.
PEOPLE = ("django_admin_log", "auth_user_groups", "auth_user_user_permissions", "auth_user")
PARTICIPANT = ("concord_witness", "concord_barrier", "concord_outbox")
PREPARED = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"


@pytest.fixture
def _django_db_helper(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield
        for using in ALIASES:
            empty(using)


def empty(using: str) -> None:
    """End what is prepared and delete Concord's rows in one database."""
    with connections[using].cursor() as cursor:
        cursor.execute(PREPARED)
        for (gid,) in cursor.fetchall():
            cursor.execute(f"ROLLBACK PREPARED '{gid}'")
        for table in (*(COORDINATOR + PEOPLE if using == "default" else ()), *PARTICIPANT):
            cursor.execute(f"DELETE FROM {table}")
