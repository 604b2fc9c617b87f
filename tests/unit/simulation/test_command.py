"""`manage.py concord simulate`: counts, the rate, and one schedule as a trace."""

import json

import pytest
from django.core.management import CommandError, call_command


def told(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    if status:
        with pytest.raises(SystemExit) as ended:
            call_command("concord", "simulate", *words)
        assert ended.value.code == status
    else:
        call_command("concord", "simulate", *words)
    return capsys.readouterr().out


def test_it_tells_what_was_run_and_what_failed(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "--protocol", "2pc", "--schedules", "2000", "--seed", "1")

    assert "2pc: 2,000 schedules from seed 1, 0 violations" in text
    assert "database crash" in text
    assert "schedules/s" in text


def test_it_tells_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    report = json.loads(told(capsys, "--schedules", "2000", "--json"))

    assert report["violations"] == 0
    assert report["never_occurred"] == []
    assert report["faults"]["clock jump"] > 0


def test_a_number_of_schedules_without_every_fault_does_not_count(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "does not count" in told(capsys, "--schedules", "2", status=2)


def test_a_violation_is_told_with_its_fewest_faults(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--protocol", "3pc-classic", "--only", "partition", "--shrink", "--json")
    report = json.loads(told(capsys, *words, status=1))

    assert [fault["kind"] for fault in report["counterexample"]["faults"]] == ["partition"]
    assert report["counterexample"]["trace"]


def test_a_seed_is_printed_as_a_trace(capsys: pytest.CaptureFixture[str]) -> None:
    text = told(capsys, "--seed", "4", "--trace")

    assert "2pc, seed 4: every promise held" in text
    assert "tx.begin" in text
    assert text == told(capsys, "--seed", "4", "--trace")


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(CommandError, match="at least 1"):
        call_command("concord", "simulate", "--schedules", "0")
