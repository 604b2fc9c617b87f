"""Where a RabbitMQ is, from its URL."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

PORT, PORT_TLS = 5672, 5671


@dataclass(frozen=True, slots=True)
class Address:
    """Of one broker and one of its virtual hosts."""

    host: str
    port: int
    user: str
    password: str
    virtual_host: str
    tls: bool

    @property
    def shown(self) -> str:
        """For errors: without user and password."""
        return f"{self.host}:{self.port}"

    @property
    def options(self) -> dict[str, Any]:
        """As the client library is told."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return {
            "host": f"{host}:{self.port}",
            "userid": self.user,
            "password": self.password,
            "virtual_host": self.virtual_host,
            "ssl": {"server_hostname": self.host, "cert_reqs": 2} if self.tls else False,
        }


def address_of(url: str) -> Address:
    """The address in an ``amqp://`` or ``amqps://`` URL. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("amqp", "amqps"):
        raise ValueError("the location must be an amqp:// or amqps:// URL")
    tls = parts.scheme == "amqps"
    return Address(
        host=parts.hostname or "localhost",
        port=parts.port or (PORT_TLS if tls else PORT),
        user=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        virtual_host=unquote(parts.path[1:]) or "/",
        tls=tls,
    )
