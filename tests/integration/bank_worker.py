"""Processes for the bank's tests: a worker for its participants, and whatever else is started."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

QUEUES = "bank.prepare,bank.finish,bank.decide,bank.call,celery"


@contextmanager
def running(
    environment: Mapping[str, str], *arguments: str, output: IO[str] | int = subprocess.PIPE
) -> Iterator["subprocess.Popen[str]"]:
    """A Python process of its own group, killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@contextmanager
def bank_worker(environment: Mapping[str, str], log: Path) -> Iterator[None]:
    """A Celery worker that serves every queue of the bank; its output goes to a file."""
    worker = ("-m", "celery", "-A", "config", "worker", "-P", "threads", "-c", "4", "-Q", QUEUES)
    # A pipe nobody reads would stop the worker as soon as it is full.
    with log.open("w") as output, running(environment, *worker, output=output):
        yield
