"""A forked child of the test process that does one thing and never returns to pytest."""

import os
from collections.abc import Callable


def fork(work: Callable[[], bool]) -> int:
    """Run ``work`` in a child and return its pid."""
    child = os.fork()
    if child != 0:
        return child
    code = 1
    try:
        code = 0 if work() else 1
    finally:
        os._exit(code)


def succeeded(child: int) -> bool:
    """Wait for the child's end and tell whether its work returned True."""
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0
