"""Who acts here: the name this process signs with."""

import os
import socket
from functools import lru_cache


def identity() -> str:
    """Host and process id, for the history. Nothing depends on it."""
    return _named(os.getpid())


@lru_cache(maxsize=1)
def _named(pid: int) -> str:
    return f"{socket.gethostname().split('.')[0][:40]}:{pid}"
