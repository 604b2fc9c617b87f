"""Every table is reached from the app's index: one that is not would vanish in a migration."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TABLES = sorted(
    path.relative_to(ROOT).as_posix()
    for name in ("tables.py", "records.py")
    for path in (ROOT / "coordination").rglob(name)
)


def test_there_are_tables() -> None:
    assert TABLES


@pytest.mark.parametrize("path", TABLES)
def test_the_index_imports_every_module_of_tables(path: str) -> None:
    module = path.removesuffix(".py").replace("/", ".")
    index = ast.parse((ROOT / "coordination" / "models.py").read_text())
    reached: set[str] = set()
    for node in ast.walk(index):
        if isinstance(node, ast.ImportFrom) and node.module:
            reached |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            reached |= {alias.name for alias in node.names}
    assert module in reached
