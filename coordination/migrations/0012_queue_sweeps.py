"""Sweeps of queues that operators order; in PostgreSQL, a function that picks one message."""

from pathlib import Path

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models.functions import Now

from coordination.routers import has_locks

SOURCE = Path(__file__).parent / "sql" / "0012_queue_picking.sql"
DROP = "DROP FUNCTION IF EXISTS concord_queue_pick"


def create(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    _run(schema_editor, SOURCE.read_text())


def drop(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    _run(schema_editor, DROP)


def _run(schema_editor: BaseDatabaseSchemaEditor, statements: str) -> None:
    # Where locks are in this PostgreSQL, queues are, too.
    if has_locks(schema_editor.connection.alias):
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(statements)


class Migration(migrations.Migration):
    dependencies = [
        ("coordination", "0011_queue_records"),
    ]

    operations = [
        migrations.CreateModel(
            name="QueueSweep",
            fields=[
                ("op", models.TextField(primary_key=True, serialize=False)),
                (
                    "verb",
                    models.TextField(
                        choices=[("redrive", "redrive"), ("purge", "purge"), ("move", "move")]
                    ),
                ),
                ("store", models.TextField()),
                ("queue", models.TextField()),
                ("to", models.TextField(default="")),
                ("at_most", models.BigIntegerField()),
                ("done", models.BigIntegerField(default=0)),
                ("steps", models.IntegerField(default=0)),
                ("cursor", models.TextField(null=True)),
                (
                    "state",
                    models.TextField(
                        choices=[
                            ("running", "running"),
                            ("done", "done"),
                            ("stopped", "stopped"),
                            ("failed", "failed"),
                        ]
                    ),
                ),
                ("error", models.TextField(default="")),
                ("failures", models.IntegerField(default=0)),
                ("stepping", models.BooleanField(default=False)),
                ("actor", models.TextField()),
                ("reason", models.TextField()),
                ("ended_by", models.TextField(default="")),
                ("began_at", models.DateTimeField(db_default=Now())),
                ("stepped_at", models.DateTimeField(db_default=Now())),
                ("due_at", models.DateTimeField(db_default=Now())),
                ("ended_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "concord_queue_sweep",
                "indexes": [
                    models.Index(
                        fields=["due_at"],
                        condition=models.Q(("state", "running")),
                        name="concord_queue_sweep_due",
                    ),
                    models.Index(
                        fields=["store", "queue", "-began_at"], name="concord_queue_sweep_of"
                    ),
                ],
            },
        ),
        migrations.RunPython(create, drop, elidable=False),
    ]
