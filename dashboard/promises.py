"""What each verdict is about, in words: once for the tiles, its page and its sentences. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

ATOMICITY: Final = "atomicity"
EXCLUSION: Final = "mutual_exclusion"
COUNTING: Final = "counter_history"
BALANCE: Final = "queue_balance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One promise. `checked` and `counted` complete "All 9,604 …" and "9,604 …"."""

    title: str
    claim: str
    checked: str
    counted: str
    of: str
    """What its violations break: "violations of …"."""
    object: str
    """What breaks it: a transaction, a lock, a counter."""
    judged: str
    """Completes "9,604 …" beside a tile."""
    things: str
    """What is counted as checked."""
    compared: tuple[str, ...]
    cannot_see: tuple[str, ...]

    def wire(self) -> dict[str, Any]:
        """What scripts say with it."""
        return {
            "checked": self.checked,
            "counted": self.counted,
            "of": self.of,
            "judged": self.judged,
        }


PROMISES: Final[Mapping[str, Promise]] = {
    ATOMICITY: Promise(
        title="Atomicity",
        claim="Every participant ended the way its transaction was decided.",
        checked="transactions that ended were audited; none broke it",
        counted="audited transactions",
        of="atomicity",
        object="transaction",
        judged="audited",
        things="transactions",
        compared=(
            "The outcome in the coordinator's row, which a trigger freezes.",
            "Each branch's witness or barrier row, written inside its own transaction.",
            "What is still prepared in every database.",
            "The recorded events: no version missing, one outcome.",
        ),
        cannot_see=(
            "Transactions that have not ended: they are counted as in doubt, not judged.",
            "Databases of participants that this project has no alias for.",
            "Work that a participant did outside its own database transaction.",
        ),
    ),
    EXCLUSION: Promise(
        title="Mutual exclusion",
        claim="At most one owner holds an exclusive lock at any time.",
        checked="grants were compared; no two overlap that must not",
        counted="compared grants",
        of="mutual exclusion",
        object="lock",
        judged="grants compared",
        things="grants",
        compared=(
            "Every grant's time, from its token to its end, with those beside it on one name.",
            "The tokens of a name: each is greater than the one before.",
            "Writes with an old token: each must have been refused.",
        ),
        cannot_see=(
            "Writes to resources that compare no token.",
            "Overlaps shorter than the error of the store's clock.",
            "What a holder did after its lease had run out, where no token was compared.",
        ),
    ),
    COUNTING: Promise(
        title="Counter history",
        claim="The value of a counter is the sum of its distinct op ids.",
        checked="changes were judged; each follows from the one before, none is counted twice",
        counted="judged changes",
        of="counter histories",
        object="counter",
        judged="changes judged",
        things="changes",
        compared=(
            "Each change begins at the value and version that the one before had left.",
            "Op ids: none is counted twice while its answer is to be remembered.",
            "Bounds: no change left a counter beyond what it was declared with.",
            "Stores: each counter there has the value that its events come to.",
        ),
        cannot_see=(
            "Windows and rate limits: what they count is gone with its time.",
            "Stores in a PostgreSQL that is not the coordinator's; the evidence names them.",
            "Of a hot counter, op ids that came back after 200,000 others or another importer.",
        ),
    ),
    BALANCE: Promise(
        title="Queue balance",
        claim="Every message that was published is there, or went in a way that is on record.",
        checked="messages were counted; none is missing, none had an effect after its ack",
        counted="counted messages",
        of="the queue balance",
        object="queue",
        judged="messages counted",
        things="messages",
        compared=(
            "What came to each queue and went from it, against its messages, counted one by one.",
            "Each message's places: one that stands in none would never be given to anybody.",
            "Acks: of a message that was acked no second ack, attempt or failure is on record.",
            "Attempts: a message is given out when nobody has it.",
        ),
        cannot_see=(
            "RabbitMQ, which can be asked how much is ready and not for a sum.",
            "Effects of a consumer that did its work and died before its ack.",
            "An effect that came more than a day after the ack, or while events were lost.",
        ),
    ),
}


def for_scripts() -> dict[str, Any]:
    """The words of every promise as JSON values."""
    return {name: promise.wire() for name, promise in PROMISES.items()}
