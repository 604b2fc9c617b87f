"""The contract tester passes what keeps the rules and finds each planted defect by its name."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.contract.participants.defects import FINDS, contract_of
from tests.contract.participants.services import serving
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import ledger

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

ROOT = Path(__file__).resolve().parents[3]
PLANTED = "tests/contract/participants/planted.py"
GOOD = ("held_contract", "TestLight", "TestPrepared", "TestCalled", "TestCounted")
DEADLINE_S = 240


@pytest.fixture
def inner(process_environment: dict[str, str], tmp_path: Path) -> Iterator["Inner"]:
    with serving(tmp_path) as services, ledger.ledgers():
        environment = process_environment | {
            "PLANTED_SERVICES": json.dumps(services),
            "PLANTED_FOLDER": str(tmp_path),
            "DJANGO_SETTINGS_MODULE": "config.settings",
        }
        yield Inner(environment, tmp_path)


class Inner:
    """A run of pytest in a process of its own, without pytest-django."""

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._environment, self._folder = dict(environment), folder
        (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")

    def run(self, *what: str) -> dict[str, str]:
        """Run tests of the planted module; each with its outcome and message."""
        report = self._folder / "report.xml"
        command = [
            *(sys.executable, "-m", "pytest", "-c", str(self._folder / "pytest.ini")),
            *("--rootdir", str(ROOT), "-q", "--strict-markers", f"--junitxml={report}"),
            *("-p", "no:django", "-p", "no:randomly", "-p", "no:xdist", "-p", "no:asyncio"),
            *("-p", "no:cacheprovider", "-p", "coordination.pytest_plugin"),
            *("-p", "tests.contract.participants.planting", *what),
        ]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )
        assert report.exists(), done.stdout + done.stderr
        return {
            f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}": _outcome(case)
            for case in ET.parse(report).iter("testcase")  # noqa: S314 - it is our own
        }


def _outcome(case: ET.Element) -> str:
    for word in ("failure", "error", "skipped"):
        found = case.find(word)
        if found is not None:
            return f"{word}: {found.get('message')}"
    return "passed"


def test_what_keeps_the_rules_passes(inner: Inner) -> None:
    found = inner.run(*(f"{PLANTED}::{name}" for name in GOOD))

    assert set(found) >= {f"{name}::test_a_commit_takes_effect" for name in GOOD}
    failed = {name: word for name, word in found.items() if not word.startswith(("passed", "skip"))}
    assert not failed, failed
    skipped = {name.partition("::")[2] for name, word in found.items() if word != "passed"}
    assert skipped == {"test_a_no_leaves_nothing", "test_a_service_does_nothing_that_is_not_signed"}


def test_each_defect_is_found_by_the_check_that_is_named_for_it(inner: Inner) -> None:
    checks = [f"{contract_of(name)}::test_{check}" for name, check in FINDS.items()]
    found = inner.run(*(f"{PLANTED}::{check}" for check in checks))

    assert set(found) == set(checks)
    assert [name for name, word in found.items() if not word.startswith("failure")] == []
