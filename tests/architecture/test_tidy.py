"""Files stay readable: short, named for what they hold, and honest about time and stand-ins."""

import ast
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("config", "coordination", "dashboard", "examples", "bench", "tests")
LONGEST_FILE = 400
LONGEST_FUNCTION = 70
NAMES_THAT_SAY_NOTHING = {"utils", "util", "helpers", "common", "misc", "manager", "base", "core"}
PURE = (
    "coordination/kernel",
    "coordination/transactions/protocols",
    "coordination/verification/simulation",
)
IMPURE_MODULES = {"time", "random", "secrets", "socket", "threading", "asyncio", "os", "uuid"}
FRAMEWORKS = {"django", "celery", "channels", "redis", "psycopg", "kazoo", "pika", "amqp", "kombu"}


@cache
def files() -> tuple[Path, ...]:
    """Every Python file of ours."""
    return tuple(path for folder in CODE for path in sorted((ROOT / folder).rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def assert_none(found: list[str]) -> None:
    assert not found, "\n".join(found)


def test_no_file_is_longer_than_400_lines() -> None:
    scripts = (ROOT / "static").rglob("*.[jc]s*")
    ours = [path for path in scripts if "vendor" not in path.parts]
    assert_none(
        [
            f"{name(path)}: {lines} lines"
            for path in (*files(), *ours)
            if "migrations" not in path.parts
            and (lines := len(path.read_text().splitlines())) > LONGEST_FILE
        ]
    )


def test_no_function_is_longer_than_70_lines() -> None:
    assert_none(
        [
            f"{name(path)}:{node.lineno} {node.name}: {lines} lines"
            for path in files()
            for node in ast.walk(tree(path))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > LONGEST_FUNCTION
        ]
    )


def test_every_file_says_by_its_name_what_it_holds() -> None:
    assert_none([name(path) for path in files() if path.stem in NAMES_THAT_SAY_NOTHING])


def test_no_test_sleeps() -> None:
    """Tests wait for events with a deadline; ``time.sleep`` is a guess about speed."""
    assert_none(
        [
            f"{name(path)}:{node.lineno}"
            for path in files()
            if path.is_relative_to(ROOT / "tests")
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.sleep", "sleep")
        ]
    )


def test_nothing_real_is_replaced_by_a_stand_in() -> None:
    banned = {"unittest.mock", "mock", "fakeredis"}
    assert_none(
        [
            f"{name(path)}: {module}"
            for path in files()
            for module in imported(path)
            if any(module == each or module.startswith(f"{each}.") for each in banned)
        ]
    )


@pytest.mark.parametrize("folder", PURE)
def test_pure_parts_know_no_framework_no_clock_and_no_chance(folder: str) -> None:
    assert_none(
        [
            f"{name(path)}: {module}"
            for path in files()
            if path.is_relative_to(ROOT / folder)
            for module in imported(path)
            if module.partition(".")[0] in IMPURE_MODULES | FRAMEWORKS
        ]
    )


def test_no_path_of_one_machine_is_written_down() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    texts = {".py", ".md", ".toml", ".txt", ".yml", ".html", ".js", ".css", ".sh", ""}
    homes = ("/ho" + "me/", "/ro" + "ot/")
    assert_none(
        [
            path
            for path in listed
            if (ROOT / path).suffix in texts
            and (ROOT / path).is_file()
            and "vendor" not in path
            and any(home in (ROOT / path).read_text(errors="replace") for home in homes)
        ]
    )


def imported(path: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return modules
