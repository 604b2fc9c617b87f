"""Handlers that a consumer in a process of its own runs; each tells in a file what it did."""

import os
import threading
from pathlib import Path

from coordination.queues.delivery import Delivery

LOG = "TEST_QUEUE_LOG"


def told() -> Path:
    return Path(os.environ[LOG])


def write(line: str) -> None:
    """One line, whole, whoever else writes."""
    with told().open("a") as file:
        file.write(f"{line}\n")


def record(message: Delivery) -> None:
    write(f"{message.body} {message.attempts}")


def slow(message: Delivery) -> None:
    write(f"begun {message.body}")
    threading.Event().wait(1)
    write(f"done {message.body}")
