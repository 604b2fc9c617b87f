"""Sockets only from our own pages: the Origin header must equal a configured one, port included.

Channels' validator accepts any port when a pattern names none; a page on another port of the same
host is a stranger here. A missing Origin is refused too: browsers always send it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}


def normalised(origin: str) -> str | None:
    """`scheme://host:port` in lower case with the port written out, or None if it is no origin."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.path or parts.query:
        return None
    return f"{parts.scheme}://{parts.hostname}:{port or _DEFAULT_PORTS[parts.scheme]}"


class ExactOriginValidator:
    """ASGI middleware that denies a handshake (403) unless its Origin is one of `origins`."""

    def __init__(self, application: Any, origins: Iterable[str]) -> None:
        self.application = application
        self.origins = frozenset(filter(None, map(normalised, origins)))

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> Any:
        headers = [value for name, value in scope.get("headers", ()) if name == b"origin"]
        asked = normalised(headers[0].decode("latin-1")) if len(headers) == 1 else None
        if asked in self.origins:
            return await self.application(scope, receive, send)
        # Closed before it is accepted, a handshake is answered with 403.
        await receive()
        await send({"type": "websocket.close"})
        return None
