"""The tables of locks, in the databases whose stores have locks."""

from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from coordination.routers import has_locks


def make_events(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """The table of events, where a store was named after this database had its migrations."""
    connection, event = schema_editor.connection, apps.get_model("coordination", "Event")
    if not has_locks(connection.alias):
        return
    if event._meta.db_table not in connection.introspection.table_names():
        schema_editor.create_model(event)


class Migration(migrations.Migration):
    dependencies = [("coordination", "0002_transaction_functions")]

    operations = [
        migrations.RunPython(make_events, migrations.RunPython.noop, elidable=False),
        migrations.AlterField(model_name="event", name="version", field=models.BigIntegerField()),
        migrations.CreateModel(
            name="LockRow",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.TextField(
                        choices=[
                            ("lock", "lock"),
                            ("semaphore", "semaphore"),
                            ("election", "election"),
                            ("barrier", "barrier"),
                        ]
                    ),
                ),
                ("name", models.TextField()),
                ("token", models.BigIntegerField()),
                ("version", models.BigIntegerField()),
                ("sole", models.TextField(null=True)),
                ("ends_us", models.BigIntegerField()),
            ],
            options={
                "verbose_name": "lock",
                "db_table": "concord_lock",
                "constraints": [
                    models.UniqueConstraint(fields=("kind", "name"), name="concord_lock_name")
                ],
            },
        ),
        migrations.CreateModel(
            name="LockClaim",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "lock_id",
                        "call",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("lock_id", models.BigIntegerField()),
                ("call", models.TextField()),
                ("position", models.BigIntegerField()),
                (
                    "mode",
                    models.TextField(
                        choices=[
                            ("exclusive", "exclusive"),
                            ("shared", "shared"),
                            ("permit", "permit"),
                            ("party", "party"),
                        ]
                    ),
                ),
                ("capacity", models.IntegerField()),
                (
                    "state",
                    models.TextField(
                        choices=[("waiting", "waiting"), ("handed", "handed"), ("held", "held")]
                    ),
                ),
                ("token", models.BigIntegerField(null=True)),
                ("since_us", models.BigIntegerField()),
                ("until_us", models.BigIntegerField()),
                ("revoked_at_us", models.BigIntegerField(null=True)),
                ("place", models.IntegerField()),
                ("owner", models.TextField()),
                ("context", models.TextField()),
                ("metadata", models.TextField()),
                ("channel", models.TextField()),
            ],
            options={"verbose_name": "claim", "db_table": "concord_lock_claim"},
        ),
        migrations.CreateModel(
            name="LockAnswer",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "lock_id",
                        "call",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("lock_id", models.BigIntegerField()),
                ("call", models.TextField()),
                ("said", models.TextField()),
                ("until_us", models.BigIntegerField()),
            ],
            options={
                "verbose_name": "answer",
                "db_table": "concord_lock_answer",
                "indexes": [models.Index(fields=["until_us"], name="concord_lock_answer_until")],
            },
        ),
        migrations.CreateModel(
            name="LockFloor",
            fields=[
                ("id", models.SmallIntegerField(primary_key=True, serialize=False)),
                ("token", models.BigIntegerField()),
            ],
            options={"verbose_name": "floor", "db_table": "concord_lock_floor"},
        ),
    ]
