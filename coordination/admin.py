"""Index of admin pages, so that Django finds them. No logic."""

from coordination.locks.admin import LockGrantAdmin, LockRecordAdmin
from coordination.transactions.admin import BranchAdmin, TransactionAdmin

__all__ = ["BranchAdmin", "LockGrantAdmin", "LockRecordAdmin", "TransactionAdmin"]
