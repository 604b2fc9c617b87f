"""Free ports on the loopback."""

import secrets
import socket
from pathlib import Path

from config.servers.errors import ServerError

_FIRST = 15_000
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_port() -> int:
    """A free port below the range the system hands to clients.

    A port from that range could be taken, while its server restarts, by a client connecting out,
    even by one of the server's own, which would then be connected to itself.
    """
    last = _first_client_port() - 1
    for _ in range(200):
        port = _FIRST + secrets.randbelow(max(last - _FIRST, 1_000))
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServerError("no free port on 127.0.0.1")


def _first_client_port() -> int:
    try:
        return int(_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768


def listens(port: int) -> bool:
    """Whether somebody accepts connections on the loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
