"""`make up` from the outside: one command brings everything, and its end takes everything."""

import json
import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from config.servers.kinds import VARIABLES
from config.servers.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PARTS = {"config.asgi:application", "bank.prepare", "bank.call,celery", "observe", "sweep", "demo"}


class Up:
    """A running `make up`, read until it has announced itself."""

    def __init__(self) -> None:
        ours = {*VARIABLES.values(), "BANK_A_URL", "BANK_B_URL", "STATIC_MANIFEST", "SECRET_KEY"}
        self.port = free_port()
        self.make = subprocess.Popen(
            ["make", "up"],
            cwd=ROOT,
            env={k: v for k, v in os.environ.items() if k not in ours}
            | {"PORT": str(self.port), "DEMO_PASSWORD": "seen-by-the-test"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        for line in self.make.stdout:
            self.lines.append(line)
            if "Ctrl-C" in line:
                return
        pytest.fail("".join(self.lines))

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.make.pid).children(recursive=True)

    def get(self, path: str) -> tuple[int, bytes]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.status, answer.read()


@pytest.fixture
def up() -> Iterator[Up]:
    up = Up()
    yield up
    if up.make.poll() is None:
        up.make.terminate()
    up.make.communicate(timeout=60)


def assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=30)
    assert not alive


@pytest.mark.timeout(240)
def test_up_announces_itself_when_ready_and_killing_make_leaves_no_process(up: Up) -> None:
    said = "".join(up.lines)
    assert f"http://127.0.0.1:{up.port}/" in said
    assert "login demo, password seen-by-the-test" in said
    status, body = up.get("/readyz")
    assert (status, json.loads(body)) == (200, {"ready": True, "problems": {}})
    family = up.family()
    words = {word for process in family for word in process.cmdline()}
    assert words >= PARTS
    up.make.send_signal(signal.SIGKILL)
    assert_gone(family)


@pytest.mark.timeout(240)
def test_a_part_that_dies_is_started_again_and_ctrl_c_leaves_no_process(up: Up) -> None:
    sweep = next(p for p in up.family() if p.cmdline()[-2:] == ["concord", "sweep"])
    sweep.kill()
    for line in up.make.stdout:
        if line.startswith("sweep ended (-9): started again"):
            break
    family = up.family()
    # As a terminal does: to every process of the foreground group.
    for process in [up.make, *(p for p in family if os.getpgid(p.pid) == os.getpgid(0))]:
        process.send_signal(signal.SIGINT)
    assert_gone(family)


def test_a_port_that_is_taken_is_an_error_that_names_it() -> None:
    port = free_port()
    environment = dict(os.environ) | {"PORT": str(port)}
    with socket.create_server(("127.0.0.1", port)):
        done = subprocess.run(
            ["make", "up"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
    assert done.returncode != 0
    assert f"port {port} cannot be used" in done.stdout
