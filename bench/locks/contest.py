"""What several contenders for one lock did, and what that says of it."""

import itertools
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench.chunks import Chunk, Series
from bench.fairness import jain

Record = tuple[float, float, float]
"""When it was asked for, had and left, by the monotonic clock that all processes share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest(Chunk):
    """One turn of all contenders. `latencies` are waits, also those that went on past its end."""

    grants: tuple[int, ...]
    """Of each contender, within the time."""
    hand_offs: tuple[float, ...]
    """From one's leave to the next one's entry, in seconds."""
    same_again: float
    """Share of the hand-offs in which the next one was the same process."""

    @property
    def per_second(self) -> float:
        return sum(self.grants) / self.elapsed

    @property
    def fairness(self) -> float:
        """Jain's index of the grants: 1 is the same number each, 1/n all for one."""
        return jain(self.grants)

    def wait_ms(self, percent: int) -> float:
        return 1e3 * _percentile(self.latencies, percent)

    def hand_off_us(self, percent: int) -> float:
        return 1e6 * _percentile(self.hand_offs, percent)

    @property
    def cpu_per_grant_us(self) -> float:
        return 1e6 * self.cpu / max(1, sum(self.grants))


def judged(
    records: Sequence[Sequence[Record]], *, due: float, seconds: float, cpu: float, met: int
) -> Contest:
    """A contest from what each contender saw; `met` is how often they met somebody inside."""
    order = sorted((had, left, who) for who, own in enumerate(records) for _, had, left in own)
    following = list(itertools.pairwise(order))
    return Contest(
        latencies=tuple(had - asked for own in records for asked, had, _ in own),
        elapsed=seconds,
        cpu=cpu,
        violations=met,
        grants=tuple(sum(had < due for _, had, _ in own) for own in records),
        hand_offs=tuple(later[0] - earlier[1] for earlier, later in following),
        same_again=statistics.fmean(earlier[2] == later[2] for earlier, later in following)
        if following
        else 0.0,
    )


def contests(series: Series) -> list[Contest]:
    """The chunks of a series, as what they are."""
    return [chunk for chunk in series.chunks if isinstance(chunk, Contest)]


def median(series: Series, figure: Callable[[Contest], float]) -> float:
    """Of a figure over the cycles."""
    return statistics.median(figure(each) for each in contests(series))


def ratio(series: Series, other: Series, figure: Callable[[Contest], float]) -> float:
    """Median over the cycles of how large a figure is against that of `other`."""
    pairs = zip(contests(series), contests(other), strict=True)
    return statistics.median(figure(own) / figure(base) for own, base in pairs)


def _percentile(values: Iterable[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0.0
