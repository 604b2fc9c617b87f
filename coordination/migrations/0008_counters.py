"""The tables of counters in database stores, and their SQL functions."""

from pathlib import Path

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from coordination.routers import has_locks

SOURCE = Path(__file__).parent / "sql" / "0008_counters.sql"
# Rows are written again and again: room beside them keeps a row on its page.
FILL = "ALTER TABLE concord_counter SET (fillfactor = 50);"
DROP = """
DROP INDEX IF EXISTS concord_event_counter_op;
DROP FUNCTION IF EXISTS concord_counter_forget, concord_counter_change_many,
    concord_counter_change, concord_counter_write, concord_counter_open;
"""


def create(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    _run(schema_editor, FILL + SOURCE.read_text())


def drop(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    _run(schema_editor, DROP)


def _run(schema_editor: BaseDatabaseSchemaEditor, statements: str) -> None:
    if has_locks(schema_editor.connection.alias):
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(statements)


def _key(*columns: str) -> models.CompositePrimaryKey:
    return models.CompositePrimaryKey(
        *columns, blank=True, editable=False, primary_key=True, serialize=False
    )


class Migration(migrations.Migration):
    dependencies = [("coordination", "0007_optimistic_names")]
    operations = [
        migrations.CreateModel(
            name="CounterRow",
            fields=[
                ("pk", _key("name", "shard")),
                ("name", models.TextField()),
                ("shard", models.IntegerField()),
                ("value", models.BigIntegerField()),
                ("version", models.BigIntegerField()),
            ],
            options={"db_table": "concord_counter"},
        ),
        migrations.CreateModel(
            name="CounterAnswer",
            fields=[
                ("pk", _key("name", "call")),
                ("name", models.TextField()),
                ("call", models.TextField()),
                ("ending", models.TextField()),
                ("value", models.BigIntegerField()),
                ("version", models.BigIntegerField()),
                ("said", models.TextField()),
                ("until_us", models.BigIntegerField()),
            ],
            options={
                "db_table": "concord_counter_answer",
                "indexes": [models.Index(fields=["until_us"], name="concord_counter_until")],
            },
        ),
        migrations.CreateModel(
            name="CounterEvent",
            fields=[
                ("position", models.BigAutoField(primary_key=True, serialize=False)),
                ("kind", models.TextField()),
                ("name", models.TextField()),
                ("version", models.BigIntegerField()),
                ("at_us", models.BigIntegerField()),
                ("node", models.TextField()),
                ("call", models.TextField()),
                ("before", models.BigIntegerField()),
                ("after", models.BigIntegerField()),
                ("note", models.TextField(db_default="{}")),
            ],
            options={
                "db_table": "concord_counter_event",
                "indexes": [
                    models.Index(fields=["name", "version"], name="concord_counter_event_name")
                ],
            },
        ),
        migrations.RunPython(create, drop, elidable=False),
    ]
