"""One Redis connection for an asyncio loop: the reader behind a web process's sockets."""

import asyncio
from collections.abc import Mapping
from typing import Any

from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.exceptions import RedisError, ResponseError

from coordination.connections.redis import CONNECT_MS, DEADLINE_MS, Argument
from coordination.connections.redis_errors import RedisReplyError, translate_reply
from coordination.connections.redis_pool import address_of
from coordination.exceptions import OutcomeUnknown, StoreUnavailable


class AsyncRedisConnection:
    """One connection, opened at the first call and again after a failure.

    It belongs to the loop that uses it; calls wait for one another, so a reader that blocks on
    the server needs a connection of its own.
    """

    def __init__(
        self, alias: str, location: str, *, options: Mapping[str, object] | None = None
    ) -> None:
        """Describe the store as for ``RedisStore``."""
        limits: Mapping[str, Any] = options or {}
        self.alias = alias
        self.address = address_of(location)
        self.deadline_ms: int = limits.get("deadline_ms", DEADLINE_MS)
        self._connect_s = limits.get("connect_ms", CONNECT_MS) / 1000
        self._options: dict[str, Any] = dict(parse_url(location))
        self._connection: AbstractConnection | None = None
        self._turn = asyncio.Lock()

    async def call(self, *command: Argument, deadline_ms: int | None = None) -> Any:
        """Send one command and return its reply; errors as for ``RedisStore.call``."""
        limit_ms = self.deadline_ms if deadline_ms is None else deadline_ms
        async with self._turn:
            sent = False
            try:
                async with asyncio.timeout(limit_ms / 1000):
                    connection = await self._connected()
                    await connection.send_command(*command)
                    sent = True
                    return await connection.read_response()
            except ResponseError as error:
                if not sent:
                    await self.aclose()
                raise translate_reply(RedisReplyError(_text(error)), self.alias) from error
            except (RedisError, OSError) as error:
                await self.aclose()
                raise self._lost(error, command, sent=sent) from error
            except BaseException:
                # A cancelled exchange leaves a reply behind that belongs to nobody.
                await self.aclose()
                raise

    async def blocking(
        self, *command: Argument, block_ms: int, deadline_ms: int | None = None
    ) -> Any:
        """Send a command that may itself wait up to ``block_ms`` on the server (XREAD, BLPOP)."""
        spare_ms = self.deadline_ms if deadline_ms is None else deadline_ms
        return await self.call(*command, deadline_ms=block_ms + spare_ms)

    async def aclose(self) -> None:
        """Close the connection; the next call opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)

    async def _connected(self) -> AbstractConnection:
        if self._connection is None:
            options = dict(self._options)
            made: type[AbstractConnection] = options.pop("connection_class", Connection)
            self._connection = made(
                **{
                    **options,
                    "socket_timeout": None,
                    "socket_connect_timeout": self._connect_s,
                    "retry": None,
                    "protocol": 2,
                    "driver_info": None,
                }
            )
        await self._connection.connect()  # type: ignore[no-untyped-call]
        return self._connection

    def _lost(
        self, error: Exception, command: tuple[Argument, ...], *, sent: bool
    ) -> StoreUnavailable | OutcomeUnknown:
        reason = str(error) or "no answer in time"
        where = f"Redis store {self.alias!r} at {self.address}: {command[0]!s}"
        if sent:
            return OutcomeUnknown(
                f"{where} was sent, its outcome is unknown: {reason}",
                store=self.alias,
                reason=reason,
            )
        return StoreUnavailable(f"{where} was not sent: {reason}", store=self.alias, reason=reason)


def _text(error: ResponseError) -> str:
    """Redis's reply again: redis-py cuts the first word off those it has a class for."""
    text = str(error)
    word = text.partition(" ")[0]
    if word.isupper():
        return text
    names = {
        "AuthenticationError": "WRONGPASS",
        "NoPermissionError": "NOPERM",
        "ReadOnlyError": "READONLY",
        "OutOfMemoryError": "OOM",
    }
    return f"{names.get(type(error).__name__, 'ERR')} {text}"
