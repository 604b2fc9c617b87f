"""One Redis store: reachable, recent, evicting nothing, keeping what it was told."""

from collections.abc import Iterator

from django.core.checks import CheckMessage, Error, Warning  # noqa: A004

from coordination import registry
from coordination.connections.redis_pool import identity_of
from coordination.exceptions import CoordinationError
from coordination.probes import Probe

__all__ = ["identity_of", "is_redis", "probe"]

VERSION_MIN = (6, 2)


def is_redis(location: str) -> bool:
    """Tell whether a location is the URL of a Redis."""
    return location.startswith(("redis://", "rediss://", "unix://"))


def probe(alias: str) -> Probe:
    """Ask one store; never raises for a store that is down."""
    name = f"redis {alias}"
    try:
        store = registry.redis_store(alias)
        facts = _facts(store.call("INFO"))
    except CoordinationError as error:
        message = Warning(
            str(error), hint="Is it running? Is its LOCATION right?", id="concord.W124"
        )
        return Probe(name=name, answered=False, detail=str(error), messages=(message,))
    detail = (
        f"Redis {facts.get('redis_version', '?')} at {store.address}, "
        f"{facts.get('maxmemory_policy', '?')}, "
        f"append-only file {'on' if facts.get('aof_enabled') == '1' else 'off'}"
    )
    return Probe(name=name, answered=True, detail=detail, messages=tuple(_judge(alias, facts)))


def _judge(alias: str, facts: dict[str, str]) -> Iterator[CheckMessage]:
    version = facts.get("redis_version", "0")
    if tuple(int(part) for part in version.split(".")[:2]) < VERSION_MIN:
        yield Error(
            f"The store {alias!r} is Redis {version}.",
            hint="Redis 6.2 or later is needed.",
            id="concord.E127",
        )
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield Warning(
            f"The store {alias!r} evicts keys when memory is short ({policy}).",
            hint="Set maxmemory-policy noeviction: an evicted key is a forgotten promise.",
            id="concord.W125",
        )
    if facts.get("aof_enabled") == "0":
        yield Warning(
            f"The store {alias!r} keeps no append-only file.",
            hint="Set appendonly yes: else a restart forgets what it acknowledged.",
            id="concord.W126",
        )


def _facts(info: bytes) -> dict[str, str]:
    lines = info.decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)
