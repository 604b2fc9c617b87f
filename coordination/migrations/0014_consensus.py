"""Registers in PostgreSQL, the memory of an acceptor there, and their SQL functions."""

from pathlib import Path

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from coordination.routers import has_locks

SOURCE = Path(__file__).parent / "sql" / "0014_consensus.sql"
# A cell is written twice or three times: room beside it keeps it on its page.
FILL = "ALTER TABLE concord_acceptor_cell SET (fillfactor = 50);"
DROP = """
DROP FUNCTION IF EXISTS concord_register_forget, concord_register_many, concord_register_read,
    concord_register_decide, concord_acceptor_sit, concord_acceptor_seat, concord_acceptor_ask,
    concord_acceptor_cell_ask, concord_consensus_enter, concord_consensus_unfit,
    concord_consensus_host;
"""


def create(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    _run(schema_editor, FILL + SOURCE.read_text())


def drop(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    _run(schema_editor, DROP)


def _run(schema_editor: BaseDatabaseSchemaEditor, statements: str) -> None:
    if has_locks(schema_editor.connection.alias):
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(statements)


def _key() -> models.CompositePrimaryKey:
    return models.CompositePrimaryKey(
        "period", "key", blank=True, editable=False, primary_key=True, serialize=False
    )


class Migration(migrations.Migration):
    dependencies = [("coordination", "0013_holds")]
    operations = [
        migrations.CreateModel(
            name="RegisterRow",
            fields=[
                ("pk", _key()),
                ("period", models.IntegerField()),
                ("key", models.TextField(db_collation="C")),
                ("value", models.TextField()),
            ],
            options={"db_table": "concord_register"},
        ),
        migrations.CreateModel(
            name="AcceptorCell",
            fields=[
                ("pk", _key()),
                ("period", models.IntegerField()),
                ("key", models.TextField(db_collation="C")),
                ("promised", models.TextField(db_collation="C")),
                ("ballot", models.TextField(db_collation="C", null=True)),
                ("value", models.TextField(null=True)),
            ],
            options={"db_table": "concord_acceptor_cell"},
        ),
        migrations.CreateModel(
            name="ConsensusSeat",
            fields=[
                ("role", models.TextField(primary_key=True, serialize=False)),
                ("incarnation", models.TextField()),
                ("host", models.TextField()),
                ("version", models.IntegerField()),
                ("view", models.TextField()),
                ("floor", models.IntegerField()),
            ],
            options={"db_table": "concord_consensus_seat"},
        ),
        migrations.RunPython(create, drop, elidable=False),
    ]
