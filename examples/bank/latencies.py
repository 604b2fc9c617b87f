"""A histogram of durations whose size does not grow with their number; pure."""

import math
from collections import Counter
from dataclasses import dataclass, field

_STEP = 1.05
"""Each bucket's upper bound over the last one's: quantiles are at most 5 % too high."""


@dataclass(slots=True)
class Latencies:
    """Durations in milliseconds, counted in buckets that widen by 5 %."""

    buckets: Counter[int] = field(default_factory=Counter)

    def add(self, duration_ms: float) -> None:
        """Count one duration; what is below 0.1 ms counts as 0.1 ms."""
        self.buckets[math.ceil(math.log(max(duration_ms, 0.1), _STEP))] += 1

    def copy(self) -> "Latencies":
        """The same counts, independent of later additions."""
        return Latencies(self.buckets.copy())

    def since(self, earlier: "Latencies") -> "Latencies":
        """What was added after `earlier` was copied from this histogram."""
        return Latencies(self.buckets - earlier.buckets)

    def quantile_ms(self, share: float) -> float | None:
        """The upper bound of the bucket in which `share` (0..1) is reached; None when empty."""
        remaining = share * self.buckets.total()
        for bucket in sorted(self.buckets):
            remaining -= self.buckets[bucket]
            if remaining <= 0:
                return round(_STEP**bucket, 1)
        return None
