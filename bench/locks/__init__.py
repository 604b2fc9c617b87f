"""What a lock costs, alone and contended, beside other ways to have one."""

from bench.locks.measuring import measure

__all__ = ["measure"]
