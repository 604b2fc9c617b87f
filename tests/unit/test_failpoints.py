"""Failpoints: silent when off, and each order is obeyed once, by one process."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HIT = "from coordination.failpoints import hit; hit('tx.vote.before'); print('survived')"


def _run(code: str, folder: Path | None) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if "FAILPOINTS" not in key}
    if folder is not None:
        environment["CONCORD_FAILPOINTS_DIR"] = str(folder)
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=30
    )


def _arm(folder: Path, **order: object) -> None:
    (folder / "tx.vote.before.arm").write_text(json.dumps(order))


def test_without_the_variable_a_failpoint_does_nothing(tmp_path: Path) -> None:
    done = _run(HIT, None)

    assert done.stdout == "survived\n"
    assert list(tmp_path.iterdir()) == []


def test_a_reached_failpoint_leaves_one_mark_a_process(tmp_path: Path) -> None:
    twice = "from coordination.failpoints import hit; [hit('tx.vote.before') for _ in range(3)]"
    _run(twice, tmp_path)
    _run(twice, tmp_path)

    assert len((tmp_path / "tx.vote.before.hit").read_text().split()) == 2


def test_a_kill_happens_once_and_leaves_the_order_as_fired(tmp_path: Path) -> None:
    _arm(tmp_path, action="kill")

    first, second = _run(HIT, tmp_path), _run(HIT, tmp_path)

    assert first.returncode == -signal.SIGKILL
    assert second.stdout == "survived\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "tx.vote.before.fired",
        "tx.vote.before.hit",
    ]


def test_the_signal_can_be_chosen(tmp_path: Path) -> None:
    _arm(tmp_path, action="kill", signal=15)

    assert _run(HIT, tmp_path).returncode == -signal.SIGTERM


def test_another_process_can_be_the_victim(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as victim:
        _arm(tmp_path, action="kill-pid", pid=victim.pid)

        done = _run(HIT, tmp_path)

        assert done.stdout == "survived\n"
        assert victim.wait(timeout=10) == -signal.SIGKILL


def test_the_parent_can_be_the_victim(tmp_path: Path) -> None:
    _arm(tmp_path, action="kill-parent")
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {HIT!r}])"

    assert _run(parent, tmp_path).returncode == -signal.SIGKILL


def test_a_pause_holds_the_caller(tmp_path: Path) -> None:
    _arm(tmp_path, action="pause", ms=400)
    started = time.monotonic()

    done = _run(HIT, tmp_path)

    assert done.stdout == "survived\n"
    assert time.monotonic() - started >= 0.4


def test_a_failpoint_can_raise(tmp_path: Path) -> None:
    _arm(tmp_path, action="raise")

    assert "FailpointRaised: tx.vote.before" in _run(HIT, tmp_path).stderr


@pytest.mark.parametrize("order", [{}, {"action": "explode"}, {"action": "kill-pid", "pid": 1}])
def test_an_order_that_makes_no_sense_is_an_error(tmp_path: Path, order: dict[str, object]) -> None:
    _arm(tmp_path, **order)

    assert "is armed with an unknown order" in _run(HIT, tmp_path).stderr


def test_of_many_processes_one_obeys(tmp_path: Path) -> None:
    _arm(tmp_path, action="kill")
    code = (
        "import os, sys\n"
        "from coordination.failpoints import hit\n"
        "children = []\n"
        "for _ in range(8):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        hit('tx.vote.before'); os._exit(0)\n"
        "    children.append(child)\n"
        "print(sum(os.waitpid(child, 0)[1] == 9 for child in children))\n"
    )

    done = _run(code, tmp_path)

    assert done.stdout == "1\n"
    assert len((tmp_path / "tx.vote.before.hit").read_text().split()) == 8


def test_the_app_refuses_to_start_with_a_stray_variable(tmp_path: Path) -> None:
    code = (
        "import django\n"
        "from django.conf import settings\n"
        "settings.configure(INSTALLED_APPS=['coordination'], COORDINATION={'NODE': 'x'{extra}})\n"
        "django.setup(); print('started')\n"
    )

    refused = _run(code.replace("{extra}", ""), tmp_path)
    allowed = _run(code.replace("{extra}", ", 'FAILPOINTS': True"), tmp_path)

    assert "ImproperlyConfigured: CONCORD_FAILPOINTS_DIR is set" in refused.stderr
    assert allowed.stdout == "started\n", allowed.stderr
