"""Holds of counters and queues in SQLite, for transactions that are not decided yet."""

from django.db import migrations, models


def _key(*columns: str) -> models.CompositePrimaryKey:
    return models.CompositePrimaryKey(
        *columns, blank=True, editable=False, primary_key=True, serialize=False
    )


class Migration(migrations.Migration):
    dependencies = [("coordination", "0012_queue_sweeps")]
    operations = [
        migrations.CreateModel(
            name="CounterHold",
            fields=[
                ("pk", _key("name", "branch")),
                ("name", models.TextField()),
                ("branch", models.TextField()),
                ("amount", models.BigIntegerField()),
                ("at_us", models.BigIntegerField()),
            ],
            options={"db_table": "concord_counter_hold"},
        ),
        migrations.CreateModel(
            name="QueueHold",
            fields=[
                ("pk", _key("queue_id", "branch")),
                ("queue_id", models.BigIntegerField()),
                ("branch", models.TextField()),
                ("messages", models.IntegerField()),
                ("at_us", models.BigIntegerField()),
            ],
            options={"db_table": "concord_queue_hold"},
        ),
    ]
