"""`manage.py demo`, as a process of its own."""

import json
import signal
import subprocess
import sys

import pytest

from examples.bank.homes import ALIASES
from examples.bank.totals import settled_total, total
from tests.integration.bank_worker import bank_worker, running

pytestmark = pytest.mark.django_db(databases=["default", *ALIASES], transaction=True)


def wait_for_line(process: subprocess.Popen[str], part: str) -> str:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if part in line:
            return line
    raise AssertionError(f"{part!r} was never printed: {lines}")


def demo(environment: dict[str, str], *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "demo", *options],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_accounts_are_opened_once_however_often_the_demo_starts(process_environment):
    for _ in range(2):
        assert demo(process_environment, "--no-load", "--accounts", "10").returncode == 0

    assert [part.accounts for part in total().sums] == [5, 5]
    assert total().conserved


def test_a_wrong_option_is_named(process_environment):
    ended = demo(process_environment, "--rate", "0")

    assert ended.returncode == 1
    assert "rate must be above zero, not 0.0" in ended.stderr


def test_the_demo_waits_for_databases_that_are_away_and_stops_when_told(process_environment):
    away = process_environment | {"BANK_A_URL": "postgres://nobody@127.0.0.1:9/bank_a"}
    with running(away, "manage.py", "demo") as process:
        wait_for_line(process, "waiting for the bank's databases")
        process.send_signal(signal.SIGTERM)

        assert process.wait(20) == 0


def test_the_demo_commits_through_a_worker_and_drains_when_told(process_environment, tmp_path):
    with bank_worker(process_environment, tmp_path / "worker.log"):
        load = ("manage.py", "demo", "--rate", "20", "--accounts", "20")
        with running(process_environment, *load) as process:
            wait_for_line(process, "committed")
            process.send_signal(signal.SIGTERM)
            summary = wait_for_line(process, "all: ")

            assert process.wait(30) == 0
        timed = demo(process_environment, "--json", "--seconds", "2", "--accounts", "20")
        assert settled_total().conserved
    assert " 0 unknown" in summary
    assert "failed" not in summary
    assert json.loads(timed.stdout)["committed"] > 0
