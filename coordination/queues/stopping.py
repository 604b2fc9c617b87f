"""Being told to stop: an event, which SIGTERM and SIGINT set where a process works for itself."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def told_to_stop(stop: threading.Event | None) -> Iterator[threading.Event]:
    """`stop`, or in a main thread that was given none one that the signals set."""
    if stop is not None or threading.current_thread() is not threading.main_thread():
        yield stop or threading.Event()
        return
    told = threading.Event()

    def leave(_number: int, _frame: FrameType | None) -> None:
        told.set()

    before: dict[signal.Signals, Any] = {each: signal.signal(each, leave) for each in SIGNALS}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
