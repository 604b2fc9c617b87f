"""The SQL functions of locks."""

from pathlib import Path

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from coordination.routers import has_locks

SOURCE = Path(__file__).parent / "sql" / "0004_locks.sql"
DROP = """
DROP FUNCTION IF EXISTS concord_lock_acquire, concord_lock_release, concord_lock_renew,
    concord_lock_force, concord_lock_revoke, concord_lock_raise, concord_lock_tidy,
    concord_lock_take, concord_lock_settle, concord_lock_serve, concord_lock_give,
    concord_lock_admits, concord_lock_clear, concord_lock_remember, concord_lock_open,
    concord_lock_holding, concord_lock_tell, concord_lock_key, concord_now_us;
"""


def create(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    _run(schema_editor, SOURCE.read_text())


def drop(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    _run(schema_editor, DROP)


def _run(schema_editor: BaseDatabaseSchemaEditor, statements: str) -> None:
    if has_locks(schema_editor.connection.alias):
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(statements)


class Migration(migrations.Migration):
    dependencies = [("coordination", "0003_locks")]
    operations = [migrations.RunPython(create, drop, elidable=False)]
