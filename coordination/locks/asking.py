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
    number = f"{next(_calls.numbers):08x}"
    call = _calls.process + number
    return Request(
        resource=resource,
        id=call,
        mode=options.mode,
        limit=options.limit,
        ttl_ms=options.ttl_ms,
        owner=options.owner or f"{identity()}:{number}",
        context=context.current(),
        metadata=options.metadata,
        kept_ms=KEPT_MS,
    )


class _Calls:
    """The calls of this process. Asking the system for an id of each would take longer."""

    def __init__(self) -> None:
        self.numbers = count(1)
        self.start_afresh()

    def start_afresh(self) -> None:
        self.process = secrets.token_hex(8)


_calls = _Calls()

os.register_at_fork(after_in_child=_calls.start_afresh)
