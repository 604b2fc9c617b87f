"""The word, icon and hue of every state, once for templates and scripts alike. Pure.

Hues: ok proven or done, busy at work, wait undecided, bad broken, idle ended, unknown.
"""

from __future__ import annotations

from typing import Any, Final

from dashboard import promises
from dashboard.lock_rows import LockRow

# state → (word, icon, hue, whether a finished row keeps only its icon's colour)
STATES: Final[dict[str, tuple[str, str, str, bool]]] = {
    "voting": ("Voting", "busy", "busy", False),
    "in_doubt": ("In doubt", "doubt", "wait", False),
    "applying": ("Applying", "busy", "busy", False),
    "undoing": ("Undoing", "undo", "busy", False),
    "committed": ("Committed", "ok", "ok", True),
    "aborted": ("Aborted", "ended", "idle", True),
    "heuristic": ("Heuristic", "bolt", "wait", False),
}
LOCK_STATES: Final[dict[str, tuple[str, str, str, bool]]] = {
    "disputed": ("Disputed", "bad", "bad", False),
    "held": ("Held", "lock", "busy", False),
    "handed": ("Handed over", "arrow", "busy", False),
    "ending": ("Lease ending", "clock", "wait", False),
    "ran_out": ("Lease ran out", "ended", "idle", False),
    "unknown": ("Unknown", "unknown", "unknown", False),
    "free": ("Free", "unlock", "idle", False),
}
# How a grant stands or ended → (word, icon, hue)
GRANTS: Final[dict[str, tuple[str, str, str]]] = {
    "held": ("Holds", "lock", "busy"),
    "released": ("Released", "unlock", "idle"),
    "expired": ("Lease ran out", "clock", "wait"),
    "forced": ("Taken away", "bolt", "wait"),
}
# Semaphores and the like say what they are; a lock is a lock.
KINDS: Final[dict[str, str]] = {
    "lock": "lock",
    "semaphore": "bar",
    "election": "key",
    "barrier": "pause",
}
VERDICTS: Final[dict[str, tuple[str, str]]] = {
    "HOLDS": ("ok", "ok"),
    "VIOLATED": ("bad", "bad"),
    "UNPROVEN": ("unknown", "unknown"),
    "CHECKING": ("checking", "busy"),
}
HEADLINES: Final[dict[str, str]] = {
    "HOLDS": "Every promise holds",
    "VIOLATED": "A promise is broken",
    "UNPROVEN": "Nothing is proven right now",
    "CHECKING": "Being checked",
}


def lock_word(state: str, row: LockRow) -> str:
    """The word of a lock's state, with how many share it; `lock/state.js` says the same."""
    word, first = LOCK_STATES[state][0], row.first
    if row.kind == "barrier" and state == "free" and first is not None:
        return f"{row.waiting} of {first.limit} came"
    if state != "held" or first is None:
        return word
    if first.mode == "shared":
        return f"{word}, shared ×{row.holding}"  # noqa: RUF001 - as people write it
    return f"{word}, {row.holding} of {first.limit}" if first.mode == "permit" else word


def for_scripts() -> dict[str, Any]:
    """The same tables as JSON values."""
    return {
        "states": STATES,
        "locks": LOCK_STATES,
        "grants": GRANTS,
        "kinds": KINDS,
        "verdicts": VERDICTS,
        "headlines": HEADLINES,
        "promises": promises.for_scripts(),
    }
