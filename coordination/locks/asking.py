"""What is sent to a store when somebody asks for a resource."""

import os
import secrets
from itertools import count

from coordination.identity import identity
from coordination.locks import context
from coordination.locks.options import Options
from coordination.locks.types import KEPT_MS, Request, Resource


def request_for(resource: Resource, options: Options) -> Request:
    """A call of its own for it, by whoever runs now."""
    call = _calls.next()
    return Request(
        resource=resource,
        id=call,
        mode=options.mode,
        limit=options.limit,
        ttl_ms=options.ttl_ms,
        owner=options.owner or f"{identity()}:{call[10:]}",
        context=context.current(),
        metadata=options.metadata,
        kept_ms=KEPT_MS,
    )


class _Calls:
    """The calls of this process. Asking the system for an id of each would take longer."""

    def __init__(self) -> None:
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._pid = os.getpid()
        self._process = secrets.token_hex(8)
        self._numbers = count(1)

    def next(self) -> str:
        """An id that no other call has."""
        # uWSGI forks without Python's hooks, and two calls of one id would be one grant.
        if self._pid != os.getpid():
            self._start_afresh()
        return f"{self._process}{next(self._numbers):08x}"


_calls = _Calls()
