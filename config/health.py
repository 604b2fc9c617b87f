"""Liveness and readiness.

``/livez`` says that this process answers; ``/readyz`` that it can do its work: every PostgreSQL
alias reachable and migrated, Redis and the broker answering. Each probe has a deadline of its own,
so a frozen server gives 503, never a hang.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache, partial
from time import monotonic
from urllib.parse import urlsplit

import psycopg
import redis.asyncio
from django.conf import settings
from django.db import connections
from django.db.migrations.loader import MigrationLoader
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

PROBE_S = 1.5
# An answer serves for this long, so that asking often does not open connections often.
FRESH_S = 1.0

_answer: tuple[float, dict[str, str]] = (float("-inf"), {})


@require_safe
@never_cache
def livez(request: HttpRequest) -> HttpResponse:
    """200 while the process serves."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
@never_cache
async def readyz(request: HttpRequest) -> JsonResponse:
    """200, or 503 naming each culprit and what is wrong with it."""
    global _answer  # noqa: PLW0603 - one small memory per process
    asked_at = monotonic()
    if asked_at - _answer[0] > FRESH_S:
        _answer = (asked_at, await problems())
    found = _answer[1]
    return JsonResponse({"ready": not found, "problems": found}, status=503 if found else 200)


async def problems() -> dict[str, str]:
    """What keeps this process from working: the server's name → the reason; empty when ready."""
    probes: dict[str, Callable[[], Awaitable[None]]] = {
        alias: partial(_probe_database, alias) for alias in settings.DATABASES
    }
    probes["redis"] = _probe_redis
    if settings.BROKER == "rabbitmq":
        probes["rabbitmq"] = _probe_rabbitmq
    reasons = await asyncio.gather(*(_reason(probe) for probe in probes.values()))
    return {name: reason for name, reason in zip(probes, reasons, strict=True) if reason}


async def _reason(probe: Callable[[], Awaitable[None]]) -> str:
    try:
        async with asyncio.timeout(PROBE_S):
            await probe()
    except TimeoutError:
        return f"no answer within {PROBE_S} s"
    except (OSError, psycopg.Error, redis.RedisError, _NotReadyError) as error:
        # The class alone: messages of clients carry addresses and user names.
        return str(error) if isinstance(error, _NotReadyError) else type(error).__name__
    return ""


class _NotReadyError(Exception):
    """The server answers, but cannot be worked with."""


async def _probe_database(alias: str) -> None:
    database = connections[alias].settings_dict
    connection = await psycopg.AsyncConnection.connect(
        host=database["HOST"] or None,
        port=database["PORT"] or None,
        dbname=database["NAME"],
        user=database["USER"] or None,
        password=database["PASSWORD"] or None,
        connect_timeout=2,
        autocommit=True,
    )
    try:
        rows = await (await connection.execute(_MIGRATIONS)).fetchall()
    except psycopg.errors.UndefinedTable:
        raise _NotReadyError("not migrated") from None
    finally:
        await connection.close()
    missing = _known_migrations() - set(rows)
    if missing:
        raise _NotReadyError(f"{len(missing)} migrations not applied")


_MIGRATIONS = "SELECT app, name FROM django_migrations"


@cache
def _known_migrations() -> frozenset[tuple[str, str]]:
    return frozenset(MigrationLoader(None).graph.nodes)


async def _probe_redis() -> None:
    client = redis.asyncio.Redis.from_url(
        settings.REDIS_URL, socket_timeout=PROBE_S, socket_connect_timeout=PROBE_S
    )
    try:
        await client.ping()
    finally:
        await client.aclose()


async def _probe_rabbitmq() -> None:
    """Speak first, as AMQP 0-9-1 asks; a broker that serves answers with a method frame (1)."""
    url = urlsplit(settings.RABBITMQ_URL)
    reader, writer = await asyncio.open_connection(url.hostname or "127.0.0.1", url.port or 5672)
    try:
        writer.write(b"AMQP\x00\x00\x09\x01")
        if await reader.readexactly(1) != b"\x01":
            raise _NotReadyError("does not speak AMQP 0-9-1")
    except asyncio.IncompleteReadError:
        raise _NotReadyError("closed the connection") from None
    finally:
        writer.close()
