"""What one distributed transaction costs, beside other ways to have it."""

from bench.transactions.measuring import measure

__all__ = ["measure"]
