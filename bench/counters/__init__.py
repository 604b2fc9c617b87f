"""What it costs to count, alone and with others, beside other ways to do it."""

from bench.counters.measuring import measure

__all__ = ["measure"]
