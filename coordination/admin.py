"""Index of admin pages, so that Django finds them. No logic."""

from coordination.counters.admin import CounterRecordAdmin
from coordination.locks.admin import LockGrantAdmin, LockRecordAdmin
from coordination.queues.admin import MessageRecordAdmin, QueueRecordAdmin, QueueSweepAdmin
from coordination.transactions.admin import BranchAdmin, TransactionAdmin

__all__ = [
    "BranchAdmin",
    "CounterRecordAdmin",
    "LockGrantAdmin",
    "LockRecordAdmin",
    "MessageRecordAdmin",
    "QueueRecordAdmin",
    "QueueSweepAdmin",
    "TransactionAdmin",
]
