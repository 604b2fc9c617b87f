"""Locks in Redis: one Lua script a verb, each of them one atomic step with its event.

The server's clock decides leases. Keys of one shard share a hash slot. A token is the clock in
microseconds or the last one plus one, so that it rises even where Redis forgot its last writes. It
is the id of its event in the stream of a shard, which remembers the last; no key of a lock does. A
lock is handed on directly and in order, so nobody who comes late gets in between (FIFO hand-off),
and the one it was handed to has to answer within a moment.
"""

import json
import secrets
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache, lru_cache, partial
from json.encoder import encode_basestring_ascii as quoted
from pathlib import Path
from types import MappingProxyType
from typing import Any

from coordination.connections.redis import Command, RedisStore
from coordination.exceptions import CoordinationError
from coordination.locks.bells import Bell
from coordination.locks.repeating import repeated
from coordination.locks.stores.redis_bells import RedisBells
from coordination.locks.stores.redis_claims import LEFT_S_MIN, RedisClaim, handed, held_of, left_s
from coordination.locks.taken import Asked, Taken
from coordination.locks.types import (
    KEPT_MS,
    Answer,
    Claimant,
    Held,
    Kind,
    LockInfo,
    Mode,
    Over,
    Released,
    Request,
    Resource,
    State,
    Waiting,
    moment,
)

SHARDS = 16
EVENTS_KEPT = 10_000
"""Of a shard, at least; as in head.lua."""
_HERE = Path(__file__).parent
VERBS = ("acquire", "release", "renew", "force", "revoke", "info")


@cache
def source(verb: str) -> str:
    """The Lua of one verb, with what it shares with others."""
    common = (_HERE / "common.lua").read_text()
    own = (_HERE / f"{verb}.lua").read_text()
    return (_HERE / "head.lua").read_text() + own.replace("--#common\n", common)


class RedisLocks:
    """Locks of one Redis store; see `coordination.locks.store.LockStore` for the verbs."""

    def __init__(self, store: RedisStore, *, node: str) -> None:
        self.alias = store.alias
        self.deadline_ms = store.deadline_ms
        self._store = store
        self._node = node
        self._scripts = {verb: store.script(source(verb)) for verb in VERBS}
        self._bells = RedisBells(store, claims=self._scripts["renew"])
        self._raise = store.script((_HERE / "raise.lua").read_text())

    def acquire(self, request: Request, *, stay_ms: int, deadline_ms: int | None = None) -> Answer:
        """Take it, or stay in its queue for `stay_ms` unless asking again; 0 does not queue."""
        # The metadata is JSON already.
        who = (
            f'{{"owner":{quoted(request.owner)},"context":{quoted(request.context)},'
            f'"node":{quoted(self._node)},"metadata":{request.metadata}}}'
        )
        reply = self._run(
            "acquire",
            request.resource,
            request.id,
            *(request.id, request.mode, request.limit, request.ttl_ms, stay_ms, request.kept_ms),
            *(self._bells.channel, who),
            deadline_ms=deadline_ms,
        )
        if (held := held_of(reply)) is not None:
            return held
        match reply[0]:
            case b"waiting":
                _, place, left, now = reply
                return Waiting(place=place, look_again_ms=_ms(left), now_us=int(now))
            case b"busy":
                return Waiting(place=None, look_again_ms=_ms(reply[1]))
        return Over()

    def release(
        self,
        request: Request,
        *,
        said: Mapping[str, Any] | None = None,
        deadline_ms: int | None = None,
    ) -> Released:
        """Give back what `acquire` took, or the place in the queue; the event tells `said`."""
        reply: bytes = self._run(
            *("release", request.resource, request.id, request.id, request.kept_ms),
            json.dumps(said) if said else "{}",
            deadline_ms=deadline_ms,
        )
        return Released(reply.decode())

    def renew(
        self, requests: Sequence[Request], *, deadline_ms: int | None = None
    ) -> list[Held | CoordinationError | None]:
        """Let leases begin anew, in one round trip; None for one that is lost."""
        calls = [self._renewal(each) for each in requests]
        replies = self._scripts["renew"].many(calls, deadline_ms=deadline_ms)
        return [
            reply if isinstance(reply, CoordinationError) else held_of(reply) for reply in replies
        ]

    def force_release(self, resource: Resource, *, actor: str, reason: str) -> list[int]:
        """Take it from whoever holds it; returns their tokens, and every later one is greater."""
        # With the same id a repetition does not fall on the next holder.
        call, said = secrets.token_hex(8), json.dumps({"actor": actor, "reason": reason})

        def force(deadline_ms: int) -> Any:
            return self._run("force", resource, call, said, KEPT_MS, deadline_ms=deadline_ms)

        return [int(token) for token in repeated(force, deadline_ms=self.deadline_ms)]

    def request_revoke(self, resource: Resource, *, grace_ms: int, actor: str, reason: str) -> int:
        """Ask holders to give it back; after the grace their leases are renewed no more."""
        said = json.dumps({"actor": actor, "reason": reason})
        asked: int = self._run("revoke", resource, "", grace_ms, said)
        return asked

    def info(self, resource: Resource) -> LockInfo:
        """Who holds it, and who waits in order."""
        return self._info(resource, self._run("info", resource, ""))

    def contended(self) -> list[LockInfo]:
        """Every resource that somebody waits for."""
        members = self._store.pipeline([("SMEMBERS", f"{each}contended") for each in _SHARDS])
        resources = [_resource(member) for found in members for member in found]
        if not resources:
            return []
        replies = self._scripts["info"].many([self._call(each, "") for each in resources])
        seen = [
            self._info(each, reply)
            for each, reply in zip(resources, replies, strict=True)
            if not isinstance(reply, CoordinationError)
        ]
        return [each for each in seen if each.waiters]

    def highest_token(self) -> int:
        """No token this store has given so far is greater."""
        last = [("XREVRANGE", f"{each}events", "+", "-", "COUNT", 1) for each in _SHARDS]
        tops = [
            int(entries[0][0].split(b"-")[0]) for entries in self._store.pipeline(last) if entries
        ]
        return max(tops, default=0)

    def raise_tokens(self, above: int) -> None:
        """From now on every token this store gives, of any name, is greater than `above`."""
        for reply in self._raise.many([((f"{each}events",), (above,)) for each in _SHARDS]):
            if isinstance(reply, CoordinationError):
                raise reply

    def bell(self, request: Request) -> AbstractContextManager[Bell]:
        """What rings when this request may have been handed the lock."""
        return self._bells.hung(request.id, partial(self._claim, request))

    def _claim(self, request: Request, told: bytes, asked: Asked) -> Taken | None:
        """Take up what was handed over, and tell Redis so without waiting for its answer."""
        sent_at = time.monotonic()
        lease = handed(told, asked, now=sent_at)
        if lease is None:
            return None
        try:
            spare_ms = max(1, int((left_s(lease, now=sent_at) - LEFT_S_MIN) * 1000))
            begun = self._scripts["renew"].begin(*self._renewal(request), deadline_ms=spare_ms)
        except CoordinationError:
            return None  # whoever asks now is told what is wrong
        if left_s(lease, now=time.monotonic()) < LEFT_S_MIN:
            begun.drop()
            return None
        return lease._replace(claim=RedisClaim(begun, sent_at=sent_at))

    def _renewal(self, request: Request) -> tuple[Command, Command]:
        return self._call(request.resource, request.id, request.id, request.ttl_ms, request.kept_ms)

    def _run(
        self,
        verb: str,
        resource: Resource,
        call: str,
        *arguments: Any,
        deadline_ms: int | None = None,
    ) -> Any:
        keys, given = self._call(resource, call, *arguments)
        return self._scripts[verb](keys, given, deadline_ms=deadline_ms)

    def _call(self, resource: Resource, call: str, *arguments: Any) -> tuple[Command, Command]:
        """Keys and arguments as `head.lua` declares them."""
        held, queue, waiting, answer, *shared = keys_of(resource)
        keys = (held, queue, waiting, answer + call, *shared)
        return keys, (resource.kind, resource.name, self._node, *arguments)

    def _info(self, resource: Resource, reply: Any) -> LockInfo:
        found = stored(self.alias, resource, reply)
        return replace(
            found,
            holders=tuple(each for each in found.holders if each.until > found.at),
            waiters=tuple(each for each in found.waiters if each.until > found.at),
        )


def shard_of(name: str) -> int:
    """Which shard a name lives on."""
    # CRC-32 spreads names over shards; nothing is secured by it.
    return zlib.crc32(name.encode()) % SHARDS


def shard_prefix(number: int) -> str:
    """What the keys of a shard begin with."""
    return f"concord:{{lock-{number}}}:"


_SHARDS = tuple(shard_prefix(number) for number in range(SHARDS))


@lru_cache(maxsize=4096)
def keys_of(resource: Resource) -> tuple[str, ...]:
    """Keys of a resource in the order of `head.lua`; the answer's lacks the id of the call."""
    shard = _SHARDS[shard_of(resource.name)]
    name = f"{resource.kind}:{resource.name}"
    own = (f"{shard}held:{name}", f"{shard}queue:{name}", f"{shard}waiting:{name}")
    return (*own, f"{shard}answer:", f"{shard}events", f"{shard}contended")


def _resource(member: bytes) -> Resource:
    kind, _, name = member.decode().partition(" ")
    return Resource(Kind(kind), name)


def _ms(microseconds: bytes) -> int:
    return -(-int(microseconds) // 1_000)


def stored(alias: str, resource: Resource, reply: Any) -> LockInfo:
    """What `info.lua` said, with those whose lease has run out and who were not told so yet."""
    now, held, waiting, _stamp = reply
    return LockInfo(
        resource=resource,
        store=alias,
        at=moment(int(now)),
        holders=tuple(sorted(_claimants(held), key=lambda each: each.token or 0)),
        waiters=tuple(_claimants(waiting)),
    )


def _claimants(flat: Sequence[bytes]) -> Iterator[Claimant]:
    for name, packed in zip(flat[::2], flat[1::2], strict=True):
        state, mode, limit, token, since, until, _ttl, revoke, _index, _bell, said = (
            packed.decode().split("\n", 10)
        )
        who = json.loads(said)
        yield Claimant(
            id=name.decode(),
            mode=Mode(mode),
            limit=int(limit),
            state=State(state),
            owner=who["owner"],
            token=int(token) or None,
            since=moment(int(since)),
            until=moment(int(until)),
            context=who["context"],
            node=who.get("node", ""),
            metadata=MappingProxyType(who["metadata"]),
            revoked_at=moment(int(revoke)) if revoke else None,
        )
