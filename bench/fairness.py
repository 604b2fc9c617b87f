"""How evenly something was shared out."""

from collections.abc import Sequence


def jain(shares: Sequence[float]) -> float:
    """Jain's index: 1 is the same for each of n, 1/n all for one."""
    squares = sum(each * each for each in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 0.0
