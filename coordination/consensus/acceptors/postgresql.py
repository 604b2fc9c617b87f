"""An acceptor in PostgreSQL: an SQL function a message, committed before it is answered.

The function looks at fsync and synchronous_commit each time, and at the cluster and the timeline
that it was born on: a standby that was promoted without the last commits is not the same acceptor.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from coordination.connections.postgresql_pool import CONNECT_MS, Pool, Row, Sent, Value
from coordination.consensus.messages import Look, Message, Offer, Prepare, ballot_of
from coordination.consensus.store import Begun
from coordination.consensus.types import (
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
from coordination.exceptions import StoreUnavailable
from coordination.kernel.settings import StoreSettings

ASK = "SELECT * FROM concord_acceptor_ask($1, $2, $3)"
VERBS = {Prepare: "prepare", Offer: "accept", Look: "look"}
SEAT = "SELECT * FROM concord_acceptor_seat()"
SIT = "SELECT concord_acceptor_sit($1, $2, $3, $4)"
KEYS = """
SELECT c.period, c.key FROM concord_acceptor_cell c
WHERE (c.period, c.key) > ($1::integer, $2::text COLLATE "C") AND c.ballot IS NOT NULL
ORDER BY c.period, c.key LIMIT 1000"""


class PostgresAcceptor:
    """One PostgreSQL as an acceptor; see `coordination.consensus.store.Acceptor`."""

    def __init__(self, settings: StoreSettings) -> None:
        limits: Mapping[str, Any] = settings.options
        self.alias = settings.alias
        self._pool = Pool(
            settings.using, store=self.alias, connect_ms=limits.get("connect_ms", CONNECT_MS)
        )

    def ask(self, stamp: Stamp, messages: Sequence[Message], *, deadline_ms: int) -> list[Reply]:
        """Its answers: all messages are one transaction."""
        rows = self._run(ASK, *_told(stamp, messages), deadline_ms=deadline_ms)
        return _replies(rows, messages)

    def begin(
        self, stamp: Stamp, messages: Sequence[Message], *, ring: Callable[[], None]
    ) -> Begun | None:
        """Send them where a connection is idle."""
        sent = self._pool.begin(ASK, _told(stamp, messages))
        return None if sent is None else _Begun(sent, messages)

    def seat(self, *, deadline_ms: int) -> Seat:
        """What it says of itself."""
        ((incarnation, view, floor, fault),) = self._run(SEAT, deadline_ms=deadline_ms)
        return Seat(
            incarnation or "", View.parse(view) if view else None, int(floor or 0), fault or ""
        )

    def give_birth(self, incarnation: str, view: View, *, deadline_ms: int) -> bool:
        """Let it begin without memory. Raises StoreUnavailable where it could not keep one."""
        if fault := self.seat(deadline_ms=deadline_ms).fault:
            raise StoreUnavailable(
                f"Store {self.alias!r} can be no acceptor: {fault}.",
                store=self.alias,
                reason=fault,
            )
        return self._sit("birth", incarnation, view.version, view.packed(), deadline_ms)

    def install(self, incarnation: str, view: View, *, deadline_ms: int) -> None:
        """Let it go by a view."""
        self._sit("install", incarnation, view.version, view.packed(), deadline_ms)

    def raise_floor(self, incarnation: str, period: int, *, deadline_ms: int) -> None:
        """Refuse and forget registers of periods below this one."""
        self._sit("floor", incarnation, period, "", deadline_ms)

    def bury(self, *, deadline_ms: int) -> None:
        """Forget everything."""
        self._sit("bury", "", 0, "", deadline_ms)

    def keys(self, *, deadline_ms: int) -> Iterator[tuple[int, str]]:
        """Every register in which it has accepted a value."""
        last: tuple[int, str] = (-1, "")
        while rows := self._run(KEYS, *last, deadline_ms=deadline_ms):
            for period, key in rows:
                last = (int(period or 0), key or "")
                yield last

    def _sit(self, verb: str, incarnation: str, number: int, view: str, deadline_ms: int) -> bool:
        ((done,),) = self._run(SIT, verb, incarnation, number, view, deadline_ms=deadline_ms)
        return done == "t"

    def _run(self, sql: str, *params: Value, deadline_ms: int) -> list[Row]:
        return self._pool.run(sql, params, deadline_ms=deadline_ms)


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
        """None: it was refused, and did nothing."""
        rows = self._sent.rows()
        return None if rows is None else _replies(rows, self._messages)


def _told(stamp: Stamp, messages: Sequence[Message]) -> tuple[Value, ...]:
    """Parameters of the function."""
    told = [
        [
            VERBS[type(message)],
            message.register.period,
            message.register.key,
            None if isinstance(message, Look) else str(message.ballot),
            message.value if isinstance(message, Offer) else None,
        ]
        for message in messages
    ]
    return stamp.incarnation, stamp.version, json.dumps(told)


def _replies(rows: list[Row], messages: Sequence[Message]) -> list[Reply]:
    if rows[0][0] in ("unfit", "unseated", "outdated"):
        return [_reply(rows[0], messages[0])] * len(messages)
    return [_reply(row, message) for row, message in zip(rows, messages, strict=True)]


def _reply(row: Row, message: Message) -> Reply:
    said, detail, value = row
    match said:
        case "unfit":
            return Unseated(detail or "")
        case "unseated":
            return Unseated("it has another incarnation" if detail else "it has no incarnation")
        case "outdated":
            return Outdated(int(detail or 0))
        case "forgotten":
            return Forgotten(int(detail or 0))
        case "seen":
            return Seen(_accepted(detail, value))
    ballot = ballot_of(message)
    if said == "refused":
        return Refused(ballot, Ballot.parse(detail or ""))
    return Promised(ballot, _accepted(detail, value)) if said == "promised" else Agreed(ballot)


def _accepted(ballot: str | None, value: str | None) -> Accepted | None:
    if ballot is None or value is None:
        return None
    return Accepted(Ballot.parse(ballot), value)
