"""Index of models, so that Django finds them. No logic."""

from coordination.consensus.tables import AcceptorCell, ConsensusSeat, RegisterRow
from coordination.counters.records import CounterRecord, CounterWatch
from coordination.counters.tables import CounterAnswer, CounterEvent, CounterHold, CounterRow
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
from coordination.queues.records import (
    MessageRecord,
    QueueBucket,
    QueueRecord,
    QueueWatch,
    WatchedMessage,
)
from coordination.queues.sweeps.tables import QueueSweep
from coordination.queues.tables import (
    QueueAnswer,
    QueueDedup,
    QueueEvent,
    QueueHold,
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
    "AcceptorCell",
    "Barrier",
    "Branch",
    "ConsensusSeat",
    "Continuation",
    "CounterAnswer",
    "CounterEvent",
    "CounterHold",
    "CounterRecord",
    "CounterRow",
    "CounterWatch",
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
    "MessageRecord",
    "OptimisticValue",
    "OutboxMessage",
    "QueueAnswer",
    "QueueBucket",
    "QueueDedup",
    "QueueEvent",
    "QueueHold",
    "QueueMessage",
    "QueueRecord",
    "QueueRow",
    "QueueSweep",
    "QueueTally",
    "QueueWaiter",
    "QueueWatch",
    "RegisterRow",
    "RollUp",
    "Transaction",
    "TransactionRecord",
    "Verdict",
    "VersionedModel",
    "Violation",
    "WatchedMessage",
    "Witness",
]
