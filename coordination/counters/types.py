"""Values of counters: what is asked for, what a store answers, what was changed. Pure."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from coordination.kernel.arguments import INTEGER_MAX

KEPT_MS = 20_000
"""How long a store remembers a call that nobody gave an id: far longer than it may be repeated."""
SHARDS_MAX = 64


class Verb(StrEnum):
    """What is to be done."""

    ADD = "add"
    SET = "set"
    RESET = "reset"
    COMPARE_AND_SET = "compare_and_set"


class Rules(NamedTuple):
    """What a counter was declared with."""

    name: str
    initial: int = 0
    """Its value when nobody has written it, and after `reset`."""
    minimum: int | None = None
    maximum: int | None = None
    shards: int = 1
    """Over how many rows it may be spread."""

    @property
    def lowest(self) -> int:
        """No value below it is written."""
        return -INTEGER_MAX if self.minimum is None else self.minimum

    @property
    def highest(self) -> int:
        """No value above it is written."""
        return INTEGER_MAX if self.maximum is None else self.maximum


class Change(NamedTuple):
    """One call that may write. Its id makes a repetition get the first answer."""

    verb: Verb
    id: str
    number: int = 0
    """What is added (ADD), or the new value."""
    expected: int | None = None
    """The value that must stand: of a COMPARE_AND_SET, and of a RESET by hand."""
    op_id: bool = False
    """Whether the caller gave the id: then it is remembered for OP_ID_TTL."""
    actor: str = ""
    """The person who asks for it by hand; empty when no person does."""
    reason: str = ""
    """Why, in that person's words."""

    @property
    def said(self) -> str:
        """What it asks for, to tell a repetition from another call with its id."""
        match self.verb:
            case Verb.ADD:
                return f"+{self.number}"
            case Verb.SET:
                return f"={self.number}"
            case Verb.RESET:
                return "reset" if self.expected is None else f"{self.expected}>reset"
            case Verb.COMPARE_AND_SET:
                return f"{self.expected}>{self.number}"


class Ending(StrEnum):
    """What became of a change."""

    DONE = "done"
    MISMATCH = "mismatch"
    """Another value stood than was expected."""
    EXCEEDED = "exceeded"
    """The result would be beyond a bound."""


class Answer(NamedTuple):
    """What a store says of a change, and says again of its repetitions."""

    ending: Ending
    value: int
    """That stands after it."""
    version: int
    said: str
    """`Change.said` of the call that got this answer first."""


class Reading(NamedTuple):
    """A counter as it stands."""

    value: int
    version: int
    """How often it was written; 0 when never."""


class Past(NamedTuple):
    """One change of the past, as its event tells it."""

    version: int
    kind: str
    """``counter.added``, ``counter.set``, ``counter.reset`` or ``counter.compare_and_set``."""
    at: datetime
    """By the store's clock."""
    node: str
    op_id: str
    before: int
    after: int
    shard: int = 0
    actor: str = ""
    """The person who did it by hand; empty when no person did."""
    reason: str = ""

    @property
    def amount(self) -> int:
        """By how much it changed."""
        return self.after - self.before


KINDS = {
    Verb.ADD: "counter.added",
    Verb.SET: "counter.set",
    Verb.RESET: "counter.reset",
    Verb.COMPARE_AND_SET: "counter.compare_and_set",
}


class Span(NamedTuple):
    """A window of time: the present slot of the store's clock, and some before it."""

    name: str
    width_us: int
    """Of a slot."""
    back: int
    """How many slots before the present one count too."""


class Counted(NamedTuple):
    """What a store says of counting within a time."""

    passed: bool
    counted: int
    wait_us: int
    """Until as much would pass, if nobody else counts meanwhile."""
    said: str
    """Amount and limit of the call that got this answer first."""
