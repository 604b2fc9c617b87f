"""What operators may do to queues, always through the public API and always recorded by the store.

Of a whole queue at most as many messages are touched as the operator was shown, and none that came
after the order: its first step, made before the order is answered, freezes the set. What is left
then is carried on in steps (`sweeps`), whether or not the process that took the order lives.
"""

import logging
import re
from dataclasses import dataclass
from typing import Any, Final

from coordination import conf
from coordination.exceptions import InvalidArgument, OutcomeUnknown, StoreUnavailable
from coordination.intervening.reasons import require_actor, require_reason
from coordination.queues.api import Queue, queue
from coordination.queues.options import count
from coordination.queues.sweeps import carrying
from coordination.queues.sweeps.tables import QueueSweep, SweepState, Verb
from coordination.queues.types import BATCH_MAX, Capability, Seen, State, Stats

logger = logging.getLogger(__name__)

WITHIN_S: Final = 1.5
"""How long an order is carried on before it is answered; sweepers take the rest."""
_OP: Final = re.compile(r"^[A-Za-z0-9]{8,64}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A queue, and the alias of the store it is in."""

    store: str
    name: str

    @property
    def queue(self) -> Queue:
        """Raises InvalidName, InvalidArgument for an unknown store, NotSupportedByStore."""
        return queue(self.name, using=self.store)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be done to the messages of a queue."""

    op: str
    """Chosen by who asks; asked for again, it is the same order."""
    verb: Verb
    place: Place
    at_most: int
    """So many were shown; the order falls on no more."""
    to: str = ""
    """Of a move: the queue they go to, in the same store."""


# Looking


def look(place: Place) -> Stats:
    """How it stands, by its store's own word.

    Raises StoreUnavailable or OutcomeUnknown when the store does not answer.
    """
    return place.queue.stats()


def able(place: Place) -> frozenset[Capability]:
    """What can be done to it. Raises as `Place.queue`."""
    return place.queue.store.capabilities


def find(place: Place, message: str) -> Seen | None:
    """A message as its store has it, with its body, if it is among the first of its state.

    Raises NotSupportedByStore where nobody can look, StoreUnavailable, OutcomeUnknown.
    """
    for state in State:
        for seen in place.queue.peek(BATCH_MAX, state=state):
            if seen.id == message:
                return seen
    return None


# The whole queue


def pause(place: Place, *, publishing: bool, consuming: bool, actor: str, reason: str) -> bool:
    """Refuse publications, give out no messages, or both; False when it is so already.

    Raises NotSupportedByStore, StoreUnavailable (nothing was done), OutcomeUnknown,
    InvalidArgument without a reason.
    """
    if not publishing and not consuming:
        raise InvalidArgument("nothing is to be paused: neither publishing nor consuming.")
    return _turn(place, publishing=publishing, consuming=consuming, actor=actor, reason=reason)


def resume(place: Place, *, actor: str, reason: str) -> bool:
    """Take publications and give out messages again; False when it does already. As `pause`."""
    return _turn(place, publishing=False, consuming=False, actor=actor, reason=reason)


def _turn(place: Place, *, publishing: bool, consuming: bool, actor: str, reason: str) -> bool:
    require_actor(actor)
    require_reason(reason)
    found = _looked(place)
    if (found.publishing_paused, found.consuming_paused) == (publishing, consuming):
        return False
    place.queue.pause(publishing=publishing, consuming=consuming, actor=actor, reason=reason)
    said = "paused" if publishing or consuming else "resumed"
    logger.info("queue %s on %s %s by %s", place.name, place.store, said, actor)
    return True


def _looked(place: Place) -> Stats:
    try:
        return look(place)
    except OutcomeUnknown as error:
        # Only the look has no answer; the deed was not begun.
        raise StoreUnavailable(str(error), name=place.name, store=place.store) from error


# Its messages, as many as were shown


def order(wanted: Order, *, actor: str, reason: str, within_s: float = WITHIN_S) -> QueueSweep:
    """Begin a redrive, a purge or a move, and carry it on for a while; returns how it stands.

    The same `op` again is the same order: it goes on where it stood. Raises InvalidArgument for an
    op that means another order, a move to nowhere, nothing shown, no reason; NotSupportedByStore,
    QueueFull, StoreUnavailable (nothing was done); OutcomeUnknown when the store does not say
    whether it made the first step.
    """
    require_actor(actor)
    require_reason(reason)
    _require_sense(wanted)
    using = conf.current().transactions.using
    told = {
        "verb": wanted.verb.value,
        "store": wanted.place.store,
        "queue": wanted.place.name,
        "to": wanted.to,
        "at_most": wanted.at_most,
    }
    row, fresh = QueueSweep.objects.using(using).get_or_create(
        op=wanted.op,
        defaults={**told, "state": SweepState.RUNNING, "actor": actor, "reason": reason},
    )
    if not fresh and any(getattr(row, word) != value for word, value in told.items()):
        raise InvalidArgument(f"op {wanted.op!r} was another order: {row.verb} {row.queue}.")
    if fresh:
        logger.info("%s of queue %s on %s by %s", row.verb, row.queue, row.store, actor)
    error = carrying.carry(wanted.op, within_s=within_s)
    row.refresh_from_db(using=using)
    if error is not None and row.steps == 0:
        raise error
    return row


def go_on(op: str, *, actor: str, within_s: float = WITHIN_S) -> QueueSweep:
    """Carry an order on that was stopped or waits. Raises as `order`, and when there is none."""
    require_actor(actor)
    row = standing(op)
    if carrying.resume(op):
        logger.info("%s of queue %s goes on by %s", row.verb, row.queue, actor)
    error = carrying.carry(op, within_s=within_s)
    if error is not None:
        raise error
    return standing(op)


def stop(op: str, *, actor: str) -> QueueSweep:
    """Make no more steps of an order; what was done stays done. Raises InvalidArgument."""
    require_actor(actor)
    row = standing(op)
    if carrying.stop(op, actor=actor):
        logger.info("%s of queue %s stopped by %s", row.verb, row.queue, actor)
    return standing(op)


def standing(op: str) -> QueueSweep:
    """How an order stands. Raises InvalidArgument when there is none."""
    using = conf.current().transactions.using
    row = QueueSweep.objects.using(using).filter(op=op).first()
    if row is None:
        raise InvalidArgument(f"there is no order {op!r:.80}.")
    return row


def _require_sense(wanted: Order) -> None:
    """What can be told before anything is kept or sent."""
    if not _OP.match(wanted.op):
        raise InvalidArgument(f"op must be 8 to 64 letters and digits, not {wanted.op!r:.80}.")
    count(wanted.at_most, what="at_most")
    found = wanted.place.queue
    if wanted.verb is Verb.MOVE:
        found.require(Capability.MOVE)
        if wanted.to == wanted.place.name:
            raise InvalidArgument(f"queue {wanted.to!r} is where the messages are already.")
        queue(wanted.to, using=wanted.place.store)
    elif wanted.verb is Verb.REDRIVE and found.declared.dead_letter is None:
        raise InvalidArgument(f"queue {wanted.place.name!r} has no dead letters.")


# One message


def discard(place: Place, message: str, *, actor: str, reason: str) -> bool:
    """Throw one message away; False when it is not there any more, or somebody has taken it.

    Raises NotSupportedByStore, StoreUnavailable (nothing was done), OutcomeUnknown,
    InvalidArgument without a reason.
    """
    _require(actor, reason)
    done = place.queue.purge(only=message, actor=actor, reason=reason)
    return _told("thrown away", place, message, done, actor)


def requeue(place: Place, message: str, *, actor: str, reason: str) -> bool:
    """Give one dead letter of this queue another chance. As `discard`."""
    _require(actor, reason)
    done = place.queue.redrive(only=message, actor=actor, reason=reason)
    return _told("given another chance", place, message, done, actor)


def move(place: Place, message: str, *, to: str, actor: str, reason: str) -> bool:
    """Move one message to another queue of the store. As `discard`, and QueueFull."""
    _require(actor, reason)
    done = place.queue.move(to, only=message, actor=actor, reason=reason)
    return _told(f"moved to {to}", place, message, done, actor)


def _require(actor: str, reason: Any) -> None:
    require_actor(actor)
    require_reason(reason)


def _told(what: str, place: Place, message: str, done: int, actor: str) -> bool:
    if done:
        logger.info("message %s of queue %s %s by %s", message, place.name, what, actor)
    return bool(done)
