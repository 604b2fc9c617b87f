"""Three Redis servers that keep what they are told through a power cut: a quorum for the bench."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.servers import binaries
from config.servers.ports import free_port

NAMES = ("acceptor_1", "acceptor_2", "acceptor_3")
VARIABLE = "BENCH_ACCEPTORS"
"""Names their URLs to this process and its children, for the settings."""
DURABLE = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")


@contextmanager
def acceptors(folder: Path) -> Iterator[None]:
    """Run them for the length of the block."""
    running: list[subprocess.Popen[str]] = []
    urls = []
    try:
        for name in NAMES:
            (folder / name).mkdir()
            port = free_port()
            running.append(_started(port, folder / name))
            urls.append(f"redis://127.0.0.1:{port}/0")
        os.environ[VARIABLE] = ",".join(urls)
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        for each in running:
            each.kill()
            each.communicate()


def _started(port: int, folder: Path) -> "subprocess.Popen[str]":
    program = str(binaries.redis())
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), *DURABLE]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    for line in server.stdout:
        if "eady to accept connections" in line:
            return server
    raise RuntimeError(f"no acceptor on port {port}")


def found() -> None:
    """Let them be a quorum."""
    from coordination.consensus.founding import found as found_quorum
    from coordination.consensus.stores import quorum

    found_quorum(quorum(), deadline_ms=10_000)
