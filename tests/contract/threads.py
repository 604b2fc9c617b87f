"""Several threads at once, for tests of contention; none leaves a database connection open."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connections

T = TypeVar("T")


def at_once(*calls: Callable[[], T]) -> list[T]:
    """Start all calls together, each in its own thread; return their answers in order."""
    start = threading.Barrier(len(calls))

    def run(call: Callable[[], T]) -> T:
        start.wait(30)
        return disconnected(call)

    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result() for future in [threads.submit(run, call) for call in calls]]


def disconnected(call: Callable[[], T]) -> T:
    """Run a call and close what it opened in this thread."""
    try:
        return call()
    finally:
        connections.close_all()
