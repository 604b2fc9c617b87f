"""What each verdict is about, in words: once for the tiles, its page and its sentences. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

ATOMICITY: Final = "atomicity"
EXCLUSION: Final = "mutual_exclusion"


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One promise. `checked` and `counted` complete "All 9,604 …" and "9,604 …"."""

    title: str
    claim: str
    checked: str
    counted: str
    of: str
    """What its violations break: "violations of …"."""
    compared: tuple[str, ...]
    cannot_see: tuple[str, ...]

    def wire(self) -> dict[str, Any]:
        """What scripts say with it."""
        return {"checked": self.checked, "counted": self.counted, "of": self.of}


PROMISES: Final[Mapping[str, Promise]] = {
    ATOMICITY: Promise(
        title="Atomicity",
        claim="Every participant ended the way its transaction was decided.",
        checked="transactions that ended were audited; none broke it",
        counted="audited transactions",
        of="atomicity",
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
}


def for_scripts() -> dict[str, Any]:
    """The words of every promise as JSON values."""
    return {name: promise.wire() for name, promise in PROMISES.items()}
