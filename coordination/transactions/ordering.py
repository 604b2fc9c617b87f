"""The order of a saga's steps: what each comes after, which is the pivot, what is behind it. Pure.

A step can only come after steps that were enlisted before it, so there are no cycles.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from coordination.exceptions import InvalidArgument
from coordination.transactions.types import Form


@dataclass(frozen=True, slots=True)
class Step:
    """What `enlist` returns: a branch that others may come after, by its number from 1."""

    gid: str
    number: int


@dataclass(frozen=True, slots=True)
class Rank:
    """A branch's part in the order: what it comes after, by seq, and its form."""

    after: tuple[int, ...]
    form: Form


class Order:
    """The steps of one saga, checked as they come."""

    def __init__(self, gid: str) -> None:
        self._gid = gid
        self._after: list[tuple[int, ...]] = []
        self._pivot: int | None = None
        self._behind: set[int] = set()

    def check(self, after: Iterable[Step] | None, *, pivot: bool) -> tuple[int, ...]:
        """What the next step comes after, by number: as a rule the one before it.

        Raises InvalidArgument for a second pivot and for what is no step of this transaction.
        """
        if not isinstance(pivot, bool):
            raise InvalidArgument(f"pivot must be True or False, not {pivot!r:.80}.")
        numbers = self._numbers(after)
        if pivot and self._pivot is not None:
            raise InvalidArgument(f"a saga has one pivot, and it is step {self._pivot} already.")
        return numbers

    def add(self, numbers: tuple[int, ...], *, pivot: bool) -> Step:
        """Take the next step, which has been checked."""
        self._after.append(numbers)
        number = len(self._after)
        if pivot:
            self._pivot = number
        elif self.is_behind(numbers):
            self._behind.add(number)
        return Step(self._gid, number)

    def is_behind(self, numbers: tuple[int, ...]) -> bool:
        """Whether what comes after these steps lies behind the pivot."""
        return any(number == self._pivot or number in self._behind for number in numbers)

    def ranks(self, effects: int) -> list[Rank]:
        """Every step's, then those of so many branches that were not enlisted.

        These come as late as can be, since others wait for what they hold: after all that the
        decision waits for, but before the pivot. The pivot comes after all that may say no.
        """
        voting = [
            number
            for number in range(1, len(self._after) + 1)
            if number != self._pivot and number not in self._behind
        ]
        followed = {before for number in voting for before in self._after[number - 1]}
        ends = tuple(number for number in voting if number not in followed)
        others = tuple(range(len(self._after) + 1, len(self._after) + 1 + effects))
        ranks = [
            Rank(after, Form.FORWARD if number in self._behind else Form.PREPARE)
            for number, after in enumerate(self._after, start=1)
        ]
        if self._pivot is not None:
            ranks[self._pivot - 1] = Rank(others or ends, Form.PIVOT)
        return ranks + [Rank(ends, Form.PREPARE)] * effects

    def _numbers(self, after: Iterable[Step] | None) -> tuple[int, ...]:
        if after is None:
            return (len(self._after),) if self._after else ()
        if isinstance(after, Step | str) or not isinstance(after, Iterable):
            raise InvalidArgument(
                f"after takes a list of what enlist returned, not {after!r:.80}; [] begins at once."
            )
        steps = list(after)
        for step in steps:
            if not isinstance(step, Step):
                raise InvalidArgument(f"after takes what enlist returned, not {step!r:.80}.")
            if step.gid != self._gid:
                raise InvalidArgument(f"{step!r:.120} is a step of another transaction.")
        return tuple(sorted({step.number for step in steps}))
