"""Who acts here: the name this process signs with."""

import os
import socket
from functools import lru_cache


@lru_cache(maxsize=1)
def identity() -> str:
    """Host and process id, for the history. Nothing depends on it."""
    return f"{socket.gethostname().split('.')[0][:40]}:{os.getpid()}"


os.register_at_fork(after_in_child=identity.cache_clear)
