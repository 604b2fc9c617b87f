"""What RabbitMQ cannot keep of a message, kept by its id in the project's DEFAULT store: attempts,
errors, and that it is done. Also what queues were declared to be.

RabbitMQ's own count of deliveries counts those that nobody began, is lost when a message is
published anew, and an ack has no reply. Here each attempt is counted before its body, and an ack
that RabbitMQ never heard of is remembered: the message it delivers again is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from secrets import token_hex
from typing import NamedTuple, Protocol

from coordination.exceptions import InvalidArgument
from coordination.queues import machine
from coordination.queues.stores import rabbitmq_topology as topology
from coordination.queues.types import Declaration, Settlement, Verb

ATTEMPTS_KEPT_MS = 14 * 86_400_000
"""How long attempts are remembered after the last one: they begin anew then. That a message is done
is remembered for `OP_ID_TTL`; either at least until the last delay of it is over."""


class Fate(StrEnum):
    """What is to become of a message that was delivered."""

    BEGUN = "begun"
    DONE = "done"
    """It was done before: only its ack was lost, or it was published twice."""
    DEAD = "dead"
    """It had its last attempt. A suspect: its takers vanished with it."""
    TWIN = "twin"
    """It was published twice, and another copy of it is in hand."""
    EARLY = "early"
    """It was put off, by somebody who died before he had published it for later or before that was
    known."""


class Delivered(NamedTuple):
    """A message that was delivered."""

    id: str
    copy: str
    """Which publication of it this is: `copy_after` of one that was put off."""


class Begun(NamedTuple):
    """What the ledger says of one delivered message."""

    fate: Fate
    attempts: int
    suspect: bool
    error: str
    taker: str = ""
    """Of EARLY: the op of the last attempt."""
    left_ms: int = 0
    """Of EARLY: until it is due."""


class Mark(NamedTuple):
    """What became of one attempt."""

    id: str
    attempt: int
    taker: str
    """The op that took it."""
    verb: Verb
    error: str = ""
    delay_ms: int = 0
    """Until it is ready again, of a retry with a delay."""


def copy_after(attempt: int, taker: str) -> str:
    """Names a copy that is published for later, of a message that this attempt put off."""
    return f"{attempt}.{taker}.{token_hex(4)}"


def mark_of(settlement: Settlement) -> Mark:
    """A settlement, for the ledger. Raises InvalidArgument for a delay beyond what RabbitMQ has."""
    _, _, proof = settlement.receipt.partition(".")
    taker, _, id_ = proof.partition(".")
    delay_ms = 0
    if settlement.verb is Verb.RETRY and settlement.delay_ms:
        if settlement.delay_ms > topology.RUNG_MS_MAX:
            raise InvalidArgument(
                f"delay must be at most {topology.RUNG_MS_MAX // 1000} seconds on RabbitMQ."
            )
        delay_ms = topology.rung_ms(settlement.delay_ms)
    attempt = machine.attempts_of(settlement.receipt)
    return Mark(id_, attempt, taker, settlement.verb, settlement.error, delay_ms)


class Ledger(Protocol):
    """All raise StoreUnavailable (not applied) or OutcomeUnknown; the same op may ask again."""

    def declare(self, queue: Declaration, *, replace: bool) -> Declaration:
        """What the queue is by the first who said so."""

    def names(self) -> list[str]:
        """Queues that were declared, in order."""

    def said(
        self, queue: str, op: str, content: str, kept_ms: int, *, deadline_ms: int | None
    ) -> str:
        """What the first publication with this op said, this one included."""

    def begin(
        self,
        queue: str,
        messages: Sequence[Delivered],
        *,
        op: str,
        most: int,
        lease_ms: int,
        deadline_ms: int | None,
    ) -> list[Begun]:
        """Count an attempt of each, as far as one that is a suspect, which begins alone.

        `most`: attempts after which a message whose taker said nothing is dead; 0: never.
        `lease_ms`: for this long another copy is a twin. The answer is as long as what was come to.
        """

    def settle(
        self, queue: str, marks: Sequence[Mark], *, op: str, deadline_ms: int | None
    ) -> list[bool]:
        """Note what became of attempts; False where another attempt began, or it was settled."""

    def end(self, queue: str, ids: Sequence[str], *, op: str) -> None:
        """They are done, or gone elsewhere."""

    def forget(self, queue: str, ids: Sequence[str]) -> None:
        """Their attempts begin anew."""

    def delayed(self, queue: str) -> int:
        """How many wait for another attempt."""
