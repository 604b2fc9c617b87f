"""The operation that makes the database itself refuse older tokens."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import DatabaseError, connections, transaction
from django.db.migrations import Migration
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.writer import OperationWriter

from coordination.exceptions import StaleToken
from coordination.fencing.operations import FenceTrigger
from coordination.fencing.refusals import stale_tokens
from tests.guarded.models import Account, Owner, Savings, Vault

TABLES = {"Account": "guarded_account", "Savings": "guarded_account", "Vault": "guarded_vault"}


def state() -> ProjectState:
    found = ProjectState()
    for model in (Owner, Account, Savings, Vault):
        found.add_model(ModelState.from_model(model))
    return found


@contextmanager
def fenced(using: str, model: str) -> Iterator[None]:
    """Within, the migration is applied; then it is reversed."""
    migration = Migration("0002_fence", "guarded")
    migration.operations = [FenceTrigger(model)]
    connection = connections[using]
    with connection.schema_editor() as editor:
        migration.apply(state(), editor)
    try:
        yield
    finally:
        with connection.schema_editor() as editor:
            migration.unapply(state(), editor)


def execute(using: str, sql: str) -> int:
    with connections[using].cursor() as cursor:
        cursor.execute(sql)
        return cursor.rowcount


@pytest.mark.parametrize("using", ["default"], indirect=True)
@pytest.mark.parametrize("model", [Account, Savings, Vault])
def test_the_database_refuses_an_older_token_whoever_writes(using: str, model: type) -> None:
    table = TABLES[model.__name__]
    with fenced(using, model.__name__):
        model().save(token=5, using=using)
        with transaction.atomic(using=using):
            with pytest.raises(StaleToken, match=f"{table} was written with token 5; 4"):
                with stale_tokens(using), transaction.atomic(using=using):
                    execute(using, f"UPDATE {table} SET fence_token = 4")
        for token in (5, 6):
            assert execute(using, f"UPDATE {table} SET fence_token = {token}") == 1
        with pytest.raises(StaleToken):
            model.objects.using(using).get().save(token=5)

    assert execute(using, f"UPDATE {table} SET fence_token = 1") == 1


@pytest.mark.parametrize("using", ["default"], indirect=True)
def test_other_errors_stay_what_they_are(using: str) -> None:
    with pytest.raises(DatabaseError, match="does not exist"), stale_tokens(using):
        execute(using, "SELECT nothing FROM nowhere")


@pytest.mark.parametrize("using", ["default"], indirect=True)
def test_the_function_goes_with_the_last_trigger(using: str) -> None:
    known = "SELECT FROM pg_proc WHERE proname = 'concord_refuse_stale_token'"
    with fenced(using, "Account"):
        with fenced(using, "Vault"):
            assert execute(using, known) == 1
        assert execute(using, known) == 1
    assert execute(using, known) == 0


def test_the_migration_runs_on_every_database_and_changes_no_state(using: str) -> None:
    with fenced(using, "Account"):
        Account().save(token=5, using=using)
    before, after = state(), state()
    FenceTrigger("Account").state_forwards("guarded", after)
    assert before == after


def test_the_operation_can_be_written_into_a_migration() -> None:
    text, imports = OperationWriter(FenceTrigger("Account")).serialize()
    assert "FenceTrigger" in text
    assert imports == {"import coordination.fencing.operations"}
