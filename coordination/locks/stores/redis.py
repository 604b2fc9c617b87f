"""Locks in Redis: one Lua script a verb, each of them one atomic step with its event.

The server's clock decides leases. Keys of one shard share a hash slot. A token is the clock in
microseconds or the last one plus one, so that it rises even where Redis forgot its last writes; one
key a shard remembers it, not one a lock. A lock is handed on directly and in order, so nobody who
comes late gets in between (FIFO hand-off), and the one it was handed to has to answer within a
moment.
"""

import json
import secrets
import zlib
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from coordination.connections.redis import Command, RedisStore, Subscription
from coordination.exceptions import CoordinationError
from coordination.locks.repeating import repeated
from coordination.locks.types import (
    KEPT_MS,
    Answer,
    Claimant,
    Held,
    LockInfo,
    Mode,
    Over,
    Released,
    Request,
    State,
    Waiting,
    moment,
)

SHARDS = 16
_HERE = Path(__file__).parent


@cache
def source(script: str) -> str:
    """The Lua of one verb, with what all of them share before it."""
    return (_HERE / "common.lua").read_text() + (_HERE / f"{script}.lua").read_text()


class RedisLocks:
    """Locks of one Redis store; see `coordination.locks.store.LockStore` for the verbs."""

    def __init__(self, store: RedisStore, *, node: str) -> None:
        self.alias = store.alias
        self.deadline_ms = store.deadline_ms
        self._store = store
        self._node = node
        verbs = ("acquire", "release", "renew", "force", "revoke", "info")
        self._scripts = {verb: store.script(source(verb)) for verb in verbs}

    def acquire(self, request: Request, *, stay_ms: int, deadline_ms: int | None = None) -> Answer:
        """Take it, or stay in its queue for `stay_ms` unless asking again; 0 does not queue."""
        reply = self._run(
            "acquire",
            request.name,
            request.id,
            *(request.id, request.mode, request.ttl_ms, stay_ms, request.kept_ms),
            *(request.owner, request.context, request.metadata, channel(request)),
            deadline_ms=deadline_ms,
        )
        if (held := _held(reply)) is not None:
            return held
        match reply[0]:
            case b"waiting":
                return Waiting(place=reply[1], look_again_ms=_ms(reply[2]))
            case b"busy":
                return Waiting(place=None, look_again_ms=_ms(reply[1]))
        return Over()

    def release(self, request: Request, *, deadline_ms: int | None = None) -> Released:
        """Give back what `acquire` took, or the place in the queue."""
        reply: bytes = self._run(
            *("release", request.name, request.id, request.id, request.kept_ms),
            deadline_ms=deadline_ms,
        )
        return Released(reply.decode())

    def renew(
        self, requests: Sequence[Request], *, deadline_ms: int | None = None
    ) -> list[Held | CoordinationError | None]:
        """Let leases begin anew, in one round trip; None for one that is lost."""
        script = self._scripts["renew"]
        calls = [
            (self._keys(each.name, each.id), (each.name, self._node, each.id, each.ttl_ms))
            for each in requests
        ]
        replies = script.many(calls, deadline_ms=deadline_ms)
        return [
            reply if isinstance(reply, CoordinationError) else _held(reply) for reply in replies
        ]

    def force_release(self, name: str, *, actor: str, reason: str) -> list[int]:
        """Take it from whoever holds it; returns their tokens, and every later one is greater."""
        # With the same id a repetition does not fall on the next holder.
        call = secrets.token_hex(8)

        def force(deadline_ms: int) -> Any:
            verb = ("force", name, call, actor, reason, KEPT_MS)
            return self._run(*verb, deadline_ms=deadline_ms)

        return [int(token) for token in repeated(force, deadline_ms=self.deadline_ms)]

    def request_revoke(self, name: str, *, grace_ms: int, actor: str, reason: str) -> int:
        """Ask holders to give it back; after the grace their leases are renewed no more."""
        asked: int = self._run("revoke", name, "", grace_ms, actor, reason)
        return asked

    def info(self, name: str) -> LockInfo:
        """Who holds it, and who waits in order."""
        now, held, waiting = self._run("info", name, "")
        at = moment(int(now))
        holders = [each for each in _claimants(held) if each.until > at]
        return LockInfo(
            name=name,
            store=self.alias,
            at=at,
            holders=tuple(sorted(holders, key=lambda each: each.token or 0)),
            waiters=tuple(each for each in _claimants(waiting) if each.until > at),
        )

    def wakeups(self, request: Request) -> AbstractContextManager[Subscription]:
        """Listen for the hand-over to this request."""
        return self._store.subscribed(channel(request))

    def _run(
        self, verb: str, name: str, call: str, *arguments: Any, deadline_ms: int | None = None
    ) -> Any:
        keys = self._keys(name, call)
        return self._scripts[verb](keys, (name, self._node, *arguments), deadline_ms=deadline_ms)

    def _keys(self, name: str, call: str) -> Command:
        # CRC-32 spreads names over shards; nothing is secured by it.
        shard = f"concord:{{lock-{zlib.crc32(name.encode()) % SHARDS}}}:"
        own = (f"{shard}held:{name}", f"{shard}queue:{name}", f"{shard}waiting:{name}")
        shared = (f"{shard}token", f"{shard}position", f"{shard}events")
        return (*own, f"{shard}answer:{call}", *shared)


def channel(request: Request) -> str:
    """Where this request is told that the lock was handed to it. A channel is not a key."""
    return f"concord:lock:handed:{request.id}"


def _held(reply: Sequence[Any]) -> Held | None:
    if reply[0] != b"held":
        return None
    revoked = reply[5] if len(reply) > 5 else b""
    return Held(
        token=int(reply[1]),
        since_us=int(reply[2]),
        until_us=int(reply[3]),
        now_us=int(reply[4]),
        revoked_at_us=int(revoked) if revoked else None,
    )


def _ms(microseconds: bytes) -> int:
    return -(-int(microseconds) // 1_000)


def _claimants(flat: Sequence[bytes]) -> Iterator[Claimant]:
    for name, packed in zip(flat[::2], flat[1::2], strict=True):
        mode, token, since, until, _ttl, owner, context, metadata, _channel, state, revoke = (
            json.loads(packed)
        )
        yield Claimant(
            id=name.decode(),
            mode=Mode(mode),
            state=State(state),
            owner=owner,
            token=int(token) or None,
            since=moment(int(since)),
            until=moment(int(until)),
            context=context,
            metadata=MappingProxyType(json.loads(metadata)),
            revoked_at=moment(int(revoke)) if revoke else None,
        )
