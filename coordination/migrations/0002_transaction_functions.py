"""The SQL functions of coordinator and participants, and the trigger that freezes outcomes."""

from pathlib import Path

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

SOURCES = Path(__file__).parent / "sql"
DROP_COORDINATOR = """
DROP TRIGGER IF EXISTS concord_transaction_freeze ON concord_transaction;
DROP FUNCTION IF EXISTS concord_freeze_outcome, concord_emit, concord_begin, concord_vote,
    concord_decide, concord_finish, concord_note, concord_claim, concord_settle, concord_electorate,
    concord_precommit, concord_end_steps;
"""
DROP_PARTICIPANT = "DROP FUNCTION IF EXISTS concord_enter, concord_seal;"


def _run(schema_editor: BaseDatabaseSchemaEditor, *, participant: str, coordinator: str) -> None:
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    tables = connection.introspection.table_names()
    with connection.cursor() as cursor:
        if "concord_witness" in tables:
            cursor.execute(participant)
        # A database that holds only witnesses has no coordinator tables: the router left them out.
        if "concord_transaction" in tables:
            cursor.execute(coordinator)


def create(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    _run(
        schema_editor,
        participant=(SOURCES / "0002_participants.sql").read_text(),
        coordinator=(SOURCES / "0002_transactions.sql").read_text(),
    )


def drop(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    _run(schema_editor, participant=DROP_PARTICIPANT, coordinator=DROP_COORDINATOR)


class Migration(migrations.Migration):
    dependencies = [("coordination", "0001_initial")]
    operations = [migrations.RunPython(create, drop, elidable=False)]
