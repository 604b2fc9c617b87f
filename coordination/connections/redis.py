"""Commands to one Redis store, each within a deadline and never sent twice.

redis-py opens the connection (address, TLS); commands then go straight through its socket and
hiredis. That takes about 0.6 of the processor time of redis-py's client, no retry of its own can
count one ``INCR`` several times, and the deadline holds even when a reply trickles in.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

import hiredis

from coordination.connections.redis_errors import RedisReplyError, translate_reply
from coordination.connections.redis_exchange import Sent
from coordination.connections.redis_pool import Pool, Wire, WireLost
from coordination.exceptions import (
    CoordinationError,
    InvalidArgument,
    OutcomeUnknown,
    StoreUnavailable,
)

CONNECT_MS = 1_000
DEADLINE_MS = 2_000

Argument = bytes | str | int | float
_NUMBERS = frozenset({int, float})
Command = Sequence[Argument]


class RedisStore:
    """One configured Redis, shared by all threads of the process and safe after a fork."""

    def __init__(
        self, alias: str, location: str, *, options: Mapping[str, object] | None = None
    ) -> None:
        """Describe the store; nothing is opened before the first command.

        Args:
            alias: the store's name in COORDINATION, for errors.
            location: a ``redis://``, ``rediss://`` or ``unix://`` URL.
            options: ``connect_ms`` and ``deadline_ms``, the limits of a call that names none.
        """
        limits: Mapping[str, Any] = options or {}
        self.alias = alias
        self.deadline_ms: int = limits.get("deadline_ms", DEADLINE_MS)
        try:
            self._pool = Pool(location, connect_ms=limits.get("connect_ms", CONNECT_MS))
        except ValueError as error:
            raise InvalidArgument(f"Redis store {alias!r}: {error}", store=alias) from None

    @property
    def address(self) -> str:
        """Where it is, without user and password."""
        return self._pool.address

    def call(self, *command: Argument, deadline_ms: int | None = None) -> Any:
        """Send one command and return its reply (bytes, int, None or a list of these).

        Raises:
            StoreUnavailable: it was not sent, or Redis refused to serve it; not applied.
            OutcomeUnknown: it was sent and no whole reply came in time.
            NotSupportedByStore: this Redis does not know the command.
            RedisReplyError: any other error reply, e.g. WRONGTYPE; not applied.
        """
        return self._only(self._exchange((command,), self._until(deadline_ms)))

    def pipeline(self, commands: Sequence[Command], *, deadline_ms: int | None = None) -> list[Any]:
        """Send the commands in one round trip and return their replies.

        They are not a transaction: when one fails, the others still ran; the first error is
        raised after every reply was read.
        """
        replies = self._exchange(commands, self._until(deadline_ms))
        for reply in replies:
            self._only([reply])
        return replies

    def begin(self, commands: Sequence[Command]) -> Sent | None:
        """Send the commands without waiting; None, and nothing is sent, where that cannot be done.

        It can where a connection is idle that is not encrypted.
        """
        wire = self._pool.take_idle()
        if wire is None:
            return None
        if wire.is_encrypted:
            self._pool.give_back(wire)
            return None
        try:
            wire.begin(self._pack(commands))
        except WireLost:
            # A write that fails has written nothing.
            wire.close()
            return None
        except BaseException:
            wire.close()
            raise
        return Sent(
            self._pool,
            wire,
            number=len(commands),
            alias=self.alias,
            told=lambda lost: self._lost(lost, commands, sent=True),
        )

    def blocking(self, *command: Argument, block_ms: int, deadline_ms: int | None = None) -> Any:
        """Send a command that may itself wait up to ``block_ms`` on the server (BLPOP, XREAD).

        The deadline counts from the end of that wait, so a dead server is still noticed.
        """
        spare_ms = self.deadline_ms if deadline_ms is None else deadline_ms
        return self.call(*command, deadline_ms=block_ms + spare_ms)

    def script(self, source: str) -> "Script":
        """Return a callable for a Lua script: sent whole only when the server lacks it."""
        return Script(self, source)

    def subscribe(self, channel: str, *, deadline_ms: int | None = None) -> "Subscription":
        """Listen to a channel, until the subscription is closed.

        Raises as `call`, when it cannot be listened to.
        """
        until = self._until(deadline_ms)
        commands = (("SUBSCRIBE", channel),)
        wire = self._send(commands, until)
        try:
            self._only([wire.read(until)])
        except WireLost as lost:
            wire.close()
            # Listening changes nothing, so it was not applied whatever became of it.
            raise self._lost(lost, commands, sent=False) from lost
        except BaseException:
            wire.close()
            raise
        return Subscription(wire)

    def close(self) -> None:
        """Close the idle connections; the store stays usable."""
        self._pool.drop()

    def __repr__(self) -> str:
        return f"<RedisStore {self.alias} at {self.address}>"

    def _until(self, deadline_ms: int | None) -> float:
        return time.monotonic() + (self.deadline_ms if deadline_ms is None else deadline_ms) / 1000

    def _only(self, replies: Sequence[Any]) -> Any:
        (reply,) = replies
        if isinstance(reply, RedisReplyError):
            raise translate_reply(reply, self.alias)
        return reply

    def _exchange(self, commands: Sequence[Command], until: float) -> list[Any]:
        wire = self._send(commands, until)
        try:
            replies = [wire.read(until) for _ in commands]
        except WireLost as lost:
            wire.close()
            raise self._lost(lost, commands, sent=True) from lost
        except BaseException:
            # An interrupted exchange leaves a reply behind that belongs to nobody.
            wire.close()
            raise
        self._pool.give_back(wire)
        return replies

    def _send(self, commands: Sequence[Command], until: float) -> Wire:
        """The wire that `commands` went out by, their replies still to be read."""
        data = self._pack(commands)
        wire = self._take(commands, until)
        try:
            wire.send(data, until)
        except WireLost as lost:
            wire.close()
            # One command cut short is never run; of several, the first may have arrived whole.
            raise self._lost(lost, commands, sent=len(commands) > 1) from lost
        except BaseException:
            wire.close()
            raise
        return wire

    def _take(self, commands: Sequence[Command], until: float) -> Wire:
        """A wire for `commands`, or the error that tells they were not sent."""
        try:
            return self._pool.take(until)
        except WireLost as lost:
            raise self._lost(lost, commands, sent=False) from lost
        except RedisReplyError as refusal:
            raise translate_reply(refusal, self.alias) from None

    def _pack(self, commands: Sequence[Command]) -> bytes:
        try:
            # Its stub knows commands of one word only.
            return b"".join(
                [hiredis.pack_command(_texts(command)) for command in commands]  # type: ignore[arg-type]
            )
        except TypeError as error:
            raise InvalidArgument(
                f"Redis store {self.alias!r} takes bytes, str, int and float: {error}",
                store=self.alias,
            ) from None

    def _lost(
        self, lost: WireLost, commands: Sequence[Command], *, sent: bool
    ) -> CoordinationError:
        what = str(commands[0][0]) if len(commands) == 1 else f"{len(commands)} commands"
        where = f"Redis store {self.alias!r} at {self.address}"
        if sent:
            return OutcomeUnknown(
                f"{where}: {what} was sent, its outcome is unknown: {lost}.",
                store=self.alias,
                reason=str(lost),
            )
        return StoreUnavailable(
            f"{where}: {what} was not sent: {lost}.", store=self.alias, reason=str(lost)
        )


class Subscription:
    """What a connection hears on one channel while it does nothing else."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._cut = False

    def message(self, seconds: float) -> bytes | None:
        """What came within `seconds`, or None; returns early when the connection was cut."""
        if self._cut:
            return None
        try:
            reply = self._wire.next(time.monotonic() + seconds)
        except WireLost:
            self._cut = True
            return None
        return None if reply is None else reply[-1]

    @property
    def cut(self) -> bool:
        """Whether its connection was lost, so that no more can come."""
        return self._cut

    def close(self) -> None:
        """Listen no more."""
        self._cut = True
        self._wire.close()


class Begun:
    """A script that was sent and whose reply is still to be read, once."""

    def __init__(self, pool: Pool, wire: Wire) -> None:
        self._pool = pool
        self._wire = wire

    def reply(self, patience_s: float) -> Any:
        """The reply, an error reply too, if it came within `patience_s` seconds; else None."""
        try:
            reply = self._wire.next(time.monotonic() + patience_s)
        except WireLost:
            reply = None
        except BaseException:
            self._wire.close()
            raise
        if reply is None:
            # It may still come, and would be taken for the reply to another command.
            self._wire.close()
            return None
        self._pool.give_back(self._wire)
        return reply

    def drop(self) -> None:
        """Nobody wants the reply."""
        self._wire.close()


class Script:
    """One Lua script of one store."""

    def __init__(self, store: RedisStore, source: str) -> None:
        self._store = store
        self._source = source
        # SHA-1 is how Redis names scripts; nothing is secured by it.
        self._sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    def __call__(
        self,
        keys: Sequence[Argument],
        arguments: Sequence[Argument] = (),
        *,
        deadline_ms: int | None = None,
    ) -> Any:
        """Run the script; errors as for ``RedisStore.call``, both attempts within one deadline."""
        store = self._store
        until = store._until(deadline_ms)
        tail = (len(keys), *keys, *arguments)
        replies = store._exchange((("EVALSHA", self._sha, *tail),), until)
        if _is_unknown(replies[0]):
            replies = store._exchange((("EVAL", self._source, *tail),), until)
        return store._only(replies)

    def begin(
        self, keys: Sequence[Argument], arguments: Sequence[Argument] = (), *, deadline_ms: int
    ) -> "Begun":
        """Send the script and return before its reply is there.

        Raises StoreUnavailable when it was not sent. A server that lacks the script (`load`) says
        so in the reply, and does not run it.
        """
        store = self._store
        command = ("EVALSHA", self._sha, len(keys), *keys, *arguments)
        return Begun(store._pool, store._send((command,), store._until(deadline_ms)))

    def load(self, *, deadline_ms: int | None = None) -> None:
        """Let the server have the script before it is asked to run it; errors as for `__call__`."""
        self._store.call("SCRIPT", "LOAD", self._source, deadline_ms=deadline_ms)

    def many(
        self,
        calls: Sequence[tuple[Sequence[Argument], Sequence[Argument]]],
        *,
        deadline_ms: int | None = None,
    ) -> list[Any]:
        """Run the script once for each (keys, arguments), all in one round trip.

        They are no transaction: a reply that is an error stands in its place as a
        CoordinationError. Raises StoreUnavailable or OutcomeUnknown for all of them.
        """
        store = self._store
        until = store._until(deadline_ms)
        tails = [(len(keys), *keys, *arguments) for keys, arguments in calls]
        replies = store._exchange([("EVALSHA", self._sha, *tail) for tail in tails], until)
        unknown = [index for index, reply in enumerate(replies) if _is_unknown(reply)]
        if unknown:
            again = [("EVAL", self._source, *tails[index]) for index in unknown]
            try:
                answers = store._exchange(again, until)
            except StoreUnavailable as error:
                if len(unknown) == len(calls):
                    raise
                answers = [error] * len(unknown)  # the others did run
            for index, reply in zip(unknown, answers, strict=True):
                replies[index] = reply
        return [
            translate_reply(reply, store.alias) if isinstance(reply, RedisReplyError) else reply
            for reply in replies
        ]


def _texts(command: Command) -> tuple[Argument, ...]:
    """The command without numbers.

    hiredis 3.5 makes text of a number by itself, and the process dies (SIGSEGV) when a signal's
    handler raises just then: Ctrl-C, Celery's soft time limit.
    """
    return tuple([repr(part) if type(part) in _NUMBERS else part for part in command])


def _is_unknown(reply: Any) -> bool:
    """Whether the server lacks the script: then nothing ran, and it may be sent again."""
    return isinstance(reply, RedisReplyError) and reply.word == "NOSCRIPT"
