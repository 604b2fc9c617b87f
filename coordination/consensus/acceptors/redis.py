"""An acceptor in Redis: a Lua script a message, and with each answer the proof that it lasts.

With `appendfsync always` Redis answers after the log is on disk. That can be turned off at any
time, so the settings are read behind the script in the same round trip: an answer given under any
other is not counted. A replica would be promoted without what it had not got yet, so an acceptor
has none, and is none.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from coordination.connections.redis import Argument, Command, RedisStore
from coordination.connections.redis_errors import RedisReplyError
from coordination.connections.redis_exchange import Sent
from coordination.consensus.messages import Look, Message, Offer, Prepare, ballot_of
from coordination.consensus.store import Begun
from coordination.consensus.types import (
    BALLOT_LENGTH,
    Accepted,
    Agreed,
    Ballot,
    Forgotten,
    Outdated,
    Promised,
    Refused,
    Reply,
    Seat,
    Seen,
    Stamp,
    Unseated,
    View,
)
from coordination.exceptions import CoordinationError, StoreUnavailable

PREFIX = "concord:{consensus}:"
SEAT, PERIODS, CELLS = f"{PREFIX}seat", f"{PREFIX}periods", f"{PREFIX}cells:"
PAGE = 1_000
VERBS = {Prepare: "prepare", Offer: "accept", Look: "look"}
NEEDED = {
    b"appendonly": b"yes",
    b"appendfsync": b"always",
    # With yes, `always` pauses while the log is rewritten.
    b"no-appendfsync-on-rewrite": b"no",
    # What is evicted is forgotten.
    b"maxmemory-policy": b"noeviction",
}
PROOF: tuple[Command, ...] = (
    # Redis 6.2 takes one pattern at a time.
    ("CONFIG", "GET", "*append*"),
    ("CONFIG", "GET", "maxmemory-policy"),
    ("ROLE",),
)
_HERE = Path(__file__).parent


@cache
def _source(name: str) -> tuple[str, str]:
    """A script, and what Redis knows it by."""
    text = (_HERE / f"{name}.lua").read_text()
    # SHA-1 is how Redis names scripts; nothing is secured by it.
    return text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class RedisAcceptor:
    """One Redis store as an acceptor; see `coordination.consensus.store.Acceptor`."""

    def __init__(self, store: RedisStore) -> None:
        self.alias = store.alias
        self._store = store

    def ask(self, stamp: Stamp, messages: Sequence[Message], *, deadline_ms: int) -> list[Reply]:
        """Its answers, all in one round trip."""
        keys, arguments = _told(stamp, messages)
        said, *proof = self._run("redis", keys, arguments, PROOF, deadline_ms=deadline_ms)
        return _replies(said, proof, messages)

    def begin(
        self, stamp: Stamp, messages: Sequence[Message], *, ring: Callable[[], None]
    ) -> Begun | None:
        """Send them where a connection is idle."""
        keys, arguments = _told(stamp, messages)
        script = ("EVALSHA", _source("redis")[1], len(keys), *keys, *arguments)
        sent = self._store.begin((script, *PROOF))
        return None if sent is None else _Begun(sent, messages)

    def seat(self, *, deadline_ms: int) -> Seat:
        """What it says of itself."""
        found, *proof = self._store.pipeline(
            [("HMGET", SEAT, "incarnation", "view", "floor"), *PROOF, ("INFO", "persistence")],
            deadline_ms=deadline_ms,
        )
        incarnation, view, floor = (each and each.decode() for each in found)
        return Seat(
            incarnation or "",
            View.parse(view) if view else None,
            int(floor or 0),
            unfit(proof) or _unready(proof[-1]),
        )

    def give_birth(self, incarnation: str, view: View, *, deadline_ms: int) -> bool:
        """Let it begin without memory. Raises StoreUnavailable where it could not keep one."""
        if fault := self.seat(deadline_ms=deadline_ms).fault:
            raise StoreUnavailable(
                f"Redis store {self.alias!r} can be no acceptor: {fault}.",
                store=self.alias,
                reason=fault,
            )
        return self._sit("birth", incarnation, view.version, view.packed(), deadline_ms=deadline_ms)

    def install(self, incarnation: str, view: View, *, deadline_ms: int) -> None:
        """Let it go by a view."""
        self._sit("install", incarnation, view.version, view.packed(), deadline_ms=deadline_ms)

    def raise_floor(self, incarnation: str, period: int, *, deadline_ms: int) -> None:
        """Refuse and forget registers of periods below this one."""
        self._sit("floor", incarnation, period, deadline_ms=deadline_ms)

    def bury(self, *, deadline_ms: int) -> None:
        """Forget everything."""
        self._sit("bury", "", 0, deadline_ms=deadline_ms)

    def keys(self, *, deadline_ms: int) -> Iterator[tuple[int, str]]:
        """Every register in which it has accepted a value; some perhaps twice."""
        call = self._store.call
        for period in call("SMEMBERS", PERIODS, deadline_ms=deadline_ms):
            cursor = b"0"
            while True:
                cells = CELLS + period.decode()
                cursor, found = call("HSCAN", cells, cursor, "COUNT", PAGE, deadline_ms=deadline_ms)
                for key, kept in zip(found[::2], found[1::2], strict=True):
                    if len(kept) > BALLOT_LENGTH:
                        yield int(period), key.decode()
                if cursor == b"0":
                    break

    def _sit(
        self, verb: str, incarnation: str, number: int, view: str = "", *, deadline_ms: int
    ) -> bool:
        keys = (SEAT, CELLS, PERIODS)
        arguments = (verb, incarnation, number, view)
        (done,) = self._run("redis_seat", keys, arguments, (), deadline_ms=deadline_ms)
        return bool(done)

    def _run(
        self,
        name: str,
        keys: Sequence[Argument],
        arguments: Sequence[Argument],
        then: Sequence[Command],
        *,
        deadline_ms: int,
    ) -> list[Any]:
        text, digest = _source(name)
        tail = (len(keys), *keys, *arguments)
        try:
            return self._store.pipeline(
                [("EVALSHA", digest, *tail), *then], deadline_ms=deadline_ms
            )
        except RedisReplyError as error:
            # The server lacks the script, so nothing was done.
            if error.word != "NOSCRIPT":
                raise
        return self._store.pipeline([("EVAL", text, *tail), *then], deadline_ms=deadline_ms)


def unfit(proof: Sequence[Any]) -> str:
    """Why what this server answers may be forgotten; empty when it lasts."""
    written, memory, role, *_ = proof
    settings = dict(zip(written[::2], written[1::2], strict=True))
    settings |= dict(zip(memory[::2], memory[1::2], strict=True))
    for name, wanted in NEEDED.items():
        if settings.get(name) != wanted:
            has = settings.get(name, b"hidden").decode()
            return f"its {name.decode()} is {has}, not {wanted.decode()}"
    if role[0] != b"master":
        return f"it is a {role[0].decode()} of another server"
    if role[2]:
        return f"it has {len(role[2])} replicas, of which one could take its place"
    return ""


def _unready(info: bytes) -> str:
    """Why its log is not complete; empty when it is."""
    # Turned on while it runs, Redis logs nothing until it has written what it had.
    for line in (b"aof_rewrite_in_progress:1", b"aof_rewrite_scheduled:1", b"aof_enabled:0"):
        if line in info:
            return f"it says {line.decode()}"
    return ""


class _Begun:
    """Messages on their way; see `coordination.consensus.store.Begun`."""

    def __init__(self, sent: Sent, messages: Sequence[Message]) -> None:
        self._sent = sent
        self._messages = messages
        self.fileno = sent.fileno
        self.advance = sent.advance
        self.leave = sent.leave

    @property
    def is_unsent(self) -> bool:
        """Whether some of it waits for room."""
        return self._sent.is_unsent

    def replies(self) -> list[Reply] | None:
        """None: the server lacks the script, and did nothing."""
        said, *proof = self._sent.replies()
        if isinstance(said, RedisReplyError) and said.word == "NOSCRIPT":
            return None
        for each in (said, *proof):
            if isinstance(each, CoordinationError):
                raise each
        return _replies(said, proof, self._messages)


def _told(stamp: Stamp, messages: Sequence[Message]) -> tuple[list[Argument], list[Argument]]:
    """Keys and arguments of the script."""
    keys: list[Argument] = [SEAT, PERIODS]
    arguments: list[Argument] = [stamp.incarnation, stamp.version]
    for message in messages:
        register = message.register
        keys.append(f"{CELLS}{register.period}")
        arguments += (VERBS[type(message)], register.period, register.key)
        arguments.append("" if isinstance(message, Look) else str(message.ballot))
        arguments.append(message.value if isinstance(message, Offer) else "")
    return keys, arguments


def _replies(
    said: list[list[bytes]], proof: Sequence[Any], messages: Sequence[Message]
) -> list[Reply]:
    if fault := unfit(proof):
        return [Unseated(fault)] * len(messages)
    if said[0][0] in (b"unseated", b"outdated"):
        return [_reply(said[0], messages[0])] * len(messages)
    return [_reply(each, message) for each, message in zip(said, messages, strict=True)]


def _reply(said: list[bytes], message: Message) -> Reply:
    word, detail = said[0], said[1].decode() if len(said) > 1 else ""
    match word:
        case b"unseated":
            return Unseated("it has another incarnation" if detail else "it has no incarnation")
        case b"outdated":
            return Outdated(int(detail))
        case b"forgotten":
            return Forgotten(int(detail))
        case b"seen":
            return Seen(_accepted(detail))
    ballot = ballot_of(message)
    if word == b"refused":
        return Refused(ballot, Ballot.parse(detail))
    return Promised(ballot, _accepted(detail)) if word == b"promised" else Agreed(ballot)


def _accepted(text: str) -> Accepted | None:
    if not text:
        return None
    return Accepted(Ballot.parse(text[:BALLOT_LENGTH]), text[BALLOT_LENGTH:])
