"""Index of admin pages, so that Django finds them. No logic."""

from coordination.transactions.admin import BranchAdmin, TransactionAdmin

__all__ = ["BranchAdmin", "TransactionAdmin"]
