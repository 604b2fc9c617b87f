"""Chance from a seed: the same numbers on every machine, Python version and hash seed.

Not `random`: its methods may give other numbers in another Python, and seeds are kept for years.
"""

from collections.abc import Sequence
from typing import TypeVar

Item = TypeVar("Item")

_MASK = (1 << 64) - 1


def mixed(seed: int, stream: int) -> int:
    """A 64 bit number for one of several streams of a seed (the finalizer of SplitMix64)."""
    word = (seed * 0x9E3779B97F4A7C15 + stream * 0xD1B54A32D192ED03 + 1) & _MASK
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _MASK
    return word ^ (word >> 31)


class Chance:
    """One stream of numbers (Knuth's 64 bit linear congruential generator, upper bits)."""

    __slots__ = ("_word",)

    def __init__(self, seed: int, *, stream: int = 0) -> None:
        self._word = mixed(seed, stream)

    def below(self, bound: int) -> int:
        """A number in [0, bound)."""
        self._word = word = (self._word * 6364136223846793005 + 1442695040888963407) & _MASK
        return (word >> 33) % bound

    def percent(self, share: int) -> bool:
        """True in `share` of 100 cases."""
        return self.below(100) < share

    def pick(self, items: Sequence[Item]) -> Item:
        """One of the items."""
        return items[self.below(len(items))]
