"""What was measured on: the machine, its servers and the packages."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import redis
from django.db import connection

from bench.addresses import redis_url


def surroundings(packages: Sequence[str]) -> str:
    """One line of each, for a report. Of `packages` those that are installed are named."""
    return "\n".join(
        [
            "; ".join([*_machine(), f"Python {platform.python_version()}"]),
            ", ".join([*_servers(), *_installed(packages)]),
        ]
    )


def _machine() -> list[str]:
    system = f"{platform.system()} {platform.release()}"
    return [f"{_processor()}, {os.cpu_count()} cores", system]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _servers() -> list[str]:
    with redis.Redis.from_url(redis_url()) as client:
        told = client.info("server")
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        (postgresql,) = cursor.fetchone()
    return [f"Redis {told['redis_version']}", f"PostgreSQL {postgresql}", *_rabbitmq()]


def _rabbitmq() -> list[str]:
    if "RABBITMQ_URL" not in os.environ:
        return []
    from kombu import Connection

    with Connection(os.environ["RABBITMQ_URL"], connect_timeout=5) as broker:
        told = broker.connection.server_properties
    return [f"RabbitMQ {told['version']}"]


def _installed(packages: Sequence[str]) -> list[str]:
    found = []
    for name in packages:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found
