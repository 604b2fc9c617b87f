"""Index of models, so that Django finds them. No logic."""

from coordination.observing.records import Intervention, Verdict, Violation
from coordination.observing.tables import Cursor, Event
from coordination.transactions.records import RollUp, TransactionRecord
from coordination.transactions.tables import Barrier, Branch, Transaction, Witness

__all__ = [
    "Barrier",
    "Branch",
    "Cursor",
    "Event",
    "Intervention",
    "RollUp",
    "Transaction",
    "TransactionRecord",
    "Verdict",
    "Violation",
    "Witness",
]
