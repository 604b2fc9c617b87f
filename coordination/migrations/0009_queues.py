"""Queues of database stores: their tables, and in PostgreSQL their SQL functions."""

from pathlib import Path

import django.db.models.expressions
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from coordination.routers import has_locks

SOURCE = Path(__file__).parent / "sql" / "0009_queues.sql"
DROP = """
DROP FUNCTION IF EXISTS concord_queue_key, concord_queue_tell, concord_queue_remember, concord_queue_record, concord_queue_told,
    concord_queue_wake, concord_queue_wake_by_name, concord_queue_held, concord_queue_lock, concord_queue_try_lock,
    concord_queue_expired,
    concord_queue_declare, concord_queue_pause, concord_queue_place, concord_queue_free,
    concord_queue_bury, concord_queue_expire, concord_queue_bring_on, concord_queue_publish,
    concord_queue_reserve, concord_queue_wait, concord_queue_leave, concord_queue_settle,
    concord_queue_extend, concord_queue_sweep, concord_queue_tidy;
DROP SEQUENCE IF EXISTS concord_queue_seq;
"""


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
        ("coordination", "0008_counters"),
    ]

    operations = [
        migrations.CreateModel(
            name="QueueEvent",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("kind", models.TextField()),
                ("name", models.TextField()),
                ("at_us", models.BigIntegerField()),
                ("node", models.TextField()),
                ("data", models.TextField()),
            ],
            options={
                "db_table": "concord_queue_event",
            },
        ),
        migrations.CreateModel(
            name="QueueRow",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("name", models.TextField(unique=True)),
                ("declaration", models.TextField()),
                ("publishing_paused", models.BooleanField(default=False)),
                ("consuming_paused", models.BooleanField(default=False)),
                ("last_seq", models.BigIntegerField(db_default=0)),
            ],
            options={
                "db_table": "concord_queue",
            },
        ),
        migrations.CreateModel(
            name="QueueWaiter",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "queue_id",
                        "op",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("queue_id", models.BigIntegerField()),
                ("op", models.TextField()),
                ("channel", models.TextField()),
                ("until_us", models.BigIntegerField()),
            ],
            options={
                "db_table": "concord_queue_waiter",
            },
        ),
        migrations.CreateModel(
            name="QueueAnswer",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "queue_id",
                        "op",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("queue_id", models.BigIntegerField()),
                ("op", models.TextField()),
                ("said", models.TextField()),
                ("until_us", models.BigIntegerField()),
            ],
            options={
                "db_table": "concord_queue_answer",
                "indexes": [models.Index(fields=["until_us"], name="concord_queue_answer_until")],
            },
        ),
        migrations.CreateModel(
            name="QueueDedup",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "queue_id",
                        "dedup",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("queue_id", models.BigIntegerField()),
                ("dedup", models.TextField()),
                ("message", models.TextField()),
                ("until_us", models.BigIntegerField()),
            ],
            options={
                "db_table": "concord_queue_dedup",
                "indexes": [models.Index(fields=["until_us"], name="concord_queue_dedup_until")],
            },
        ),
        migrations.CreateModel(
            name="QueueMessage",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "queue_id",
                        "stage",
                        "sort",
                        "seq",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("queue_id", models.BigIntegerField()),
                ("stage", models.SmallIntegerField()),
                ("sort", models.BigIntegerField()),
                ("seq", models.BigIntegerField()),
                ("message", models.TextField()),
                ("body", models.TextField()),
                ("headers", models.TextField()),
                ("priority", models.SmallIntegerField()),
                ("grp", models.TextField()),
                ("published_us", models.BigIntegerField()),
                ("due_us", models.BigIntegerField()),
                ("expires_us", models.BigIntegerField()),
                ("attempts", models.IntegerField()),
                ("taken_by", models.TextField()),
                ("suspect", models.BooleanField()),
                ("source", models.TextField()),
                ("error", models.TextField()),
            ],
            options={
                "db_table": "concord_queue_message",
                "indexes": [
                    models.Index(
                        django.db.models.expressions.CombinedExpression(
                            models.F("seq"), "+", models.Value(0)
                        ),
                        condition=models.Q(("taken_by__gt", "")),
                        name="concord_queue_taken",
                    ),
                    models.Index(
                        django.db.models.expressions.CombinedExpression(
                            models.F("queue_id"), "+", models.Value(0)
                        ),
                        models.F("grp"),
                        models.F("stage"),
                        models.F("seq"),
                        condition=models.Q(("grp", ""), _negated=True),
                        name="concord_queue_group",
                    ),
                    models.Index(
                        django.db.models.expressions.CombinedExpression(
                            models.F("queue_id"), "+", models.Value(0)
                        ),
                        models.F("expires_us"),
                        condition=models.Q(("expires_us__gt", 0), ("taken_by", "")),
                        name="concord_queue_expiring",
                    ),
                    models.Index(
                        django.db.models.expressions.CombinedExpression(
                            models.F("queue_id"), "+", models.Value(0)
                        ),
                        models.F("source"),
                        models.F("seq"),
                        condition=models.Q(("source", ""), _negated=True),
                        name="concord_queue_source",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="QueueTally",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("queue_id", models.BigIntegerField()),
                ("published", models.BigIntegerField(db_default=0)),
                ("acked", models.BigIntegerField(db_default=0)),
                ("dead", models.BigIntegerField(db_default=0)),
                ("expired", models.BigIntegerField(db_default=0)),
                ("purged", models.BigIntegerField(db_default=0)),
                ("moved_in", models.BigIntegerField(db_default=0)),
                ("moved_out", models.BigIntegerField(db_default=0)),
                ("redriven", models.BigIntegerField(db_default=0)),
                ("delivered", models.BigIntegerField(db_default=0)),
                ("lapsed", models.BigIntegerField(db_default=0)),
            ],
            options={
                "db_table": "concord_queue_tally",
                "indexes": [models.Index(fields=["queue_id"], name="concord_queue_tally_queue")],
            },
        ),
        migrations.RunPython(create, drop, elidable=False),
    ]
