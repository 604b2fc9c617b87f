"""The pytest plugin and the comparisons of the contract tester, without a database."""

import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from coordination.testing import ParticipantContract, participant_contract
from coordination.testing.effects import Incomparable, change, is_nothing

ROOT = Path(__file__).resolve().parents[2]
pytest_plugins = ("pytester",)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (3, 5, 2),
        (Decimal("1.5"), Decimal(1), Decimal("-0.5")),
        ({"a": 1}, {"a": 1, "b": 2}, {"a": 0, "b": 2}),
        ([1, (2, 3)], [1, (2, 5)], [0, [0, 2]]),
        ([], [], []),
    ],
)
def test_numbers_are_compared_by_how_much_they_changed(
    before: Any, after: Any, expected: Any
) -> None:
    assert change(before, after) == expected
    assert is_nothing(change(before, before))
    assert not is_nothing(expected) or before == after


@pytest.mark.parametrize(
    ("before", "after"), [("a", "b"), ({1}, {2}), ([1], [1, 2]), (None, 1), ({"a": "x"}, {"a": 1})]
)
def test_what_cannot_be_compared_is_told_with_the_remedy(before: Any, after: Any) -> None:
    with pytest.raises(Incomparable, match="give effect="):
        change(before, after)


def test_the_plugin_imports_nothing_of_django() -> None:
    code = "import coordination.pytest_plugin, sys; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_contract_is_collected_by_any_name_and_its_base_is_not() -> None:
    class Mine(ParticipantContract):
        participant = "stock.reserve"

    class Shared(ParticipantContract):
        patience = 1

    made = participant_contract("stock.reserve", args=dict, observe=lambda: 0)
    contracts = (made, Mine, Shared, ParticipantContract)
    assert [each.is_participant_contract for each in contracts] == [True, True, False, False]


def test_without_a_contract_the_plugin_changes_nothing(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makepyfile("class Plain:\n    x = 1\ndef test_it():\n    pass\n")
    flags = ("-p", "coordination.pytest_plugin", "-p", "no:django", "-p", "no:randomly")
    pytester.runpytest_subprocess(*flags).assert_outcomes(passed=1)
    told = pytester.runpytest_subprocess(*flags, "--markers")
    told.stdout.fnmatch_lines(["@pytest.mark.participant_contract:*"])
