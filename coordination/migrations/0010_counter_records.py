"""Read models of counters."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("coordination", "0009_queues")]
    operations = [
        migrations.CreateModel(
            name="CounterWatch",
            fields=[
                ("key", models.TextField(primary_key=True, serialize=False)),
                ("version", models.BigIntegerField()),
                ("state", models.JSONField()),
            ],
            options={"db_table": "concord_counter_watch"},
        ),
        migrations.CreateModel(
            name="CounterRecord",
            fields=[
                ("key", models.TextField(primary_key=True, serialize=False)),
                ("counter", models.TextField()),
                ("store", models.TextField()),
                ("name", models.TextField()),
                ("shard", models.IntegerField()),
                ("feed_seq", models.BigIntegerField()),
                ("version", models.BigIntegerField()),
                ("edition", models.BigIntegerField()),
                ("writes", models.BigIntegerField()),
                ("value", models.BigIntegerField()),
                ("changes", models.BigIntegerField()),
                ("changed_at", models.DateTimeField()),
                ("last", models.JSONField(null=True)),
                ("rates", models.JSONField()),
                ("rows", models.IntegerField()),
                ("initial", models.BigIntegerField()),
                ("minimum", models.BigIntegerField(null=True)),
                ("maximum", models.BigIntegerField(null=True)),
                ("shards", models.IntegerField()),
                ("disputed", models.TextField()),
                ("gap", models.BooleanField()),
                ("era", models.IntegerField()),
                ("cell", models.JSONField()),
            ],
            options={
                "db_table": "concord_counter_record",
                "indexes": [
                    models.Index(fields=["counter"], name="concord_counterrec_counter"),
                    models.Index(
                        condition=models.Q(("shard", 0)),
                        fields=["-changed_at", "key"],
                        name="concord_counterrec_changed",
                    ),
                    models.Index(fields=["name"], name="concord_counterrec_name"),
                    models.Index(
                        condition=models.Q(("disputed", ""), _negated=True),
                        fields=["key"],
                        name="concord_counterrec_dispute",
                    ),
                ],
            },
        ),
    ]
