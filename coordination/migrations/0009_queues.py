from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [
        ("coordination", "0008_counters"),
    ]

    operations = [
        migrations.CreateModel(
            name="OutboxMessage",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("message", models.TextField(unique=True)),
                ("store", models.TextField()),
                ("queue", models.TextField()),
                ("group", models.TextField(default="")),
                ("given", models.JSONField()),
                ("outgoing", models.JSONField()),
                ("attempts", models.IntegerField(default=0)),
                ("error", models.TextField(default="")),
                ("created_at", models.DateTimeField(db_default=Now())),
                ("due_at", models.DateTimeField(db_default=Now())),
            ],
            options={
                "db_table": "concord_outbox",
                "indexes": [
                    models.Index(fields=["due_at", "id"], name="concord_outbox_due"),
                ],
            },
        ),
    ]
