"""The names of `optimistic` on a database store."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("coordination", "0006_continuations")]
    operations = [
        migrations.CreateModel(
            name="OptimisticValue",
            fields=[
                (
                    "name",
                    models.CharField(max_length=200, primary_key=True, serialize=False),
                ),
                ("version", models.BigIntegerField()),
                ("value", models.JSONField(null=True)),
                ("changed_at", models.DateTimeField()),
            ],
            options={"db_table": "concord_optimistic"},
        ),
    ]
