"""What is sent to a store when somebody asks for a resource."""

import secrets

from coordination.identity import identity
from coordination.locks import context
from coordination.locks.options import Options
from coordination.locks.types import KEPT_MS, Request, Resource


def request_for(resource: Resource, options: Options) -> Request:
    """A call of its own for it, by whoever runs now."""
    call = secrets.token_hex(12)
    return Request(
        resource=resource,
        id=call,
        mode=options.mode,
        limit=options.limit,
        ttl_ms=options.ttl_ms,
        owner=options.owner or f"{identity()}:{call[:8]}",
        context=context.current(),
        metadata=options.metadata,
        kept_ms=KEPT_MS,
    )
