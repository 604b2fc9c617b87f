"""`FenceTrigger`: a migration operation after which PostgreSQL itself refuses older tokens."""

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.state import ProjectState

from coordination.fencing.comparing import FIELD, table_of
from coordination.fencing.refusals import SQLSTATE

FUNCTION = f"""
CREATE OR REPLACE FUNCTION concord_refuse_stale_token() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a row of % was written with token %; % is older and may not write any more',
        TG_TABLE_NAME, OLD.{FIELD}, NEW.{FIELD} USING ERRCODE = '{SQLSTATE}';
END $$
"""
CREATE = """
CREATE TRIGGER concord_fence BEFORE UPDATE ON {table} FOR EACH ROW
    WHEN (NEW.{column} < OLD.{column}) EXECUTE FUNCTION concord_refuse_stale_token()
"""
DROP = "DROP TRIGGER IF EXISTS concord_fence ON {table}"
DROP_FUNCTION = """
DO $$ BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE p.proname = 'concord_refuse_stale_token'
            AND p.pronamespace = current_schema()::regnamespace
    ) THEN
        DROP FUNCTION IF EXISTS concord_refuse_stale_token();
    END IF;
END $$
"""


class FenceTrigger(Operation):
    """Let no UPDATE of this model's table lower its token, whoever sends it, psql included.

    For raw SQL that sets `fence_token`; `FencedModel` compares without it. On other databases than
    PostgreSQL it does nothing.
    """

    reduces_to_sql = True
    reversible = True
    category = OperationCategory.ADDITION

    def __init__(self, model_name: str) -> None:
        self.model_name = model_name

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Nothing: the models stay as they are."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Create the trigger."""
        names = self._names(app_label, schema_editor, to_state)
        if names is not None:
            # Not through parameters: these are statements that take none.
            schema_editor.execute(FUNCTION, params=None)
            schema_editor.execute(CREATE.format(**names), params=None)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Drop the trigger, and the function with the last one."""
        names = self._names(app_label, schema_editor, to_state)
        if names is not None:
            schema_editor.execute(DROP.format(**names), params=None)
            schema_editor.execute(DROP_FUNCTION, params=None)

    def references_model(self, name: str, app_label: str) -> bool:
        """Whether it is about this model."""
        return name.lower() == self.model_name.lower()

    def describe(self) -> str:
        """For `migrate`."""
        return f"Let the database refuse older tokens in {self.model_name}"

    @property
    def migration_name_fragment(self) -> str:
        """For a migration that nobody named."""
        return f"{self.model_name.lower()}_fence"

    def _names(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, state: ProjectState
    ) -> dict[str, str] | None:
        model = state.apps.get_model(app_label, self.model_name)
        alias = schema_editor.connection.alias
        if schema_editor.connection.vendor != "postgresql":
            return None
        if not self.allow_migrate_model(alias, model):
            return None
        field: Any = model._meta.get_field(FIELD)
        return {
            "table": schema_editor.quote_name(table_of(model)._meta.db_table),
            "column": schema_editor.quote_name(field.column),
        }
