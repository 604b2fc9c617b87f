"""Index of models, so that Django finds them. No logic."""

from coordination.counters.tables import CounterAnswer, CounterEvent, CounterRow
from coordination.fencing.model import FencedModel
from coordination.fencing.tokens import UNFENCED
from coordination.locks.continuations.tables import Continuation
from coordination.locks.records import (
    LockDeadlock,
    LockGrant,
    LockRecord,
    LockRefusal,
    LockWatch,
)
from coordination.locks.tables import LockAnswer, LockClaim, LockFloor, LockRow
from coordination.observing.records import Intervention, Verdict, Violation
from coordination.observing.tables import Cursor, Event
from coordination.queues.outbox.tables import OutboxMessage
from coordination.queues.tables import (
    QueueAnswer,
    QueueDedup,
    QueueEvent,
    QueueMessage,
    QueueRow,
    QueueTally,
    QueueWaiter,
)
from coordination.transactions.records import RollUp, TransactionRecord
from coordination.transactions.tables import Barrier, Branch, Transaction, Witness
from coordination.versions.model import VersionedModel
from coordination.versions.tables import OptimisticValue

__all__ = [
    "UNFENCED",
    "Barrier",
    "Branch",
    "Continuation",
    "CounterAnswer",
    "CounterEvent",
    "CounterRow",
    "Cursor",
    "Event",
    "FencedModel",
    "Intervention",
    "LockAnswer",
    "LockClaim",
    "LockDeadlock",
    "LockFloor",
    "LockGrant",
    "LockRecord",
    "LockRefusal",
    "LockRow",
    "LockWatch",
    "OptimisticValue",
    "OutboxMessage",
    "QueueAnswer",
    "QueueDedup",
    "QueueEvent",
    "QueueMessage",
    "QueueRow",
    "QueueTally",
    "QueueWaiter",
    "RollUp",
    "Transaction",
    "TransactionRecord",
    "Verdict",
    "VersionedModel",
    "Violation",
    "Witness",
]
