"""Asking once more when a reply was lost. The call has an id, so it gets the first answer again."""

import time
from collections.abc import Callable
from typing import TypeVar

from coordination.exceptions import OutcomeUnknown, StoreUnavailable

T = TypeVar("T")


def repeated(call: Callable[[int], T], *, deadline_ms: int) -> T:
    """`call(deadline in ms)`, and once more in what is left of `deadline_ms` if that told nothing.

    Raises OutcomeUnknown when neither told, and whatever else `call` raises the first time.
    """
    due = time.monotonic() + deadline_ms / 1000
    try:
        return call(deadline_ms)
    except OutcomeUnknown as unknown:
        left_ms = int((due - time.monotonic()) * 1000)
        if left_ms <= 0:
            raise
        try:
            return call(left_ms)
        except StoreUnavailable as later:
            raise unknown from later  # the second was not applied; the first may have been
