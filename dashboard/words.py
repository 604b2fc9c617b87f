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
QUEUE_STATES: Final[dict[str, tuple[str, str, str, bool]]] = {
    "disputed": ("Disputed", "bad", "bad", False),
    "unknown": ("Unknown", "unknown", "unknown", False),
    "paused": ("Paused", "pause", "wait", False),
    "dead": ("Dead letters", "mail", "wait", False),
    "backing_up": ("Backing up", "bar", "wait", False),
    "flowing": ("Flowing", "ok", "ok", True),
    "idle": ("Idle", "ended", "idle", True),
    "letters": ("Keeps letters", "queue", "idle", True),
}
# Where a message stands → (word, icon, hue)
MESSAGES: Final[dict[str, tuple[str, str, str]]] = {
    "waiting": ("Waiting", "glass", "idle"),
    "letter": ("Dead letter", "mail", "wait"),
    "in_flight": ("In flight", "busy", "busy"),
    "acked": ("Acked", "ok", "ok"),
    "dead": ("Died", "mail", "wait"),
    "expired": ("Expired", "clock", "idle"),
    "purged": ("Purged", "x", "idle"),
    "moved": ("Moved", "arrow", "idle"),
}
# What happened to a message → (words, icon, hue)
LIFE: Final[dict[str, tuple[str, str, str]]] = {
    "published": ("Published", "send", ""),
    "arrived": ("Moved here", "arrow", ""),
    "buried": ("Came to the dead letters", "mail", "wait"),
    "redriven": ("Given another chance", "undo", "busy"),
    "taken": ("Taken", "busy", "busy"),
    "extended": ("Lease extended", "clock", ""),
    "retried": ("Attempt failed, to be tried again", "cycle", "wait"),
    "released": ("Given back, not begun", "undo", ""),
    "lapsed": ("Lease ran out", "clock", "wait"),
    "acked": ("Acked", "ok", "ok"),
    "died": ("Died", "bad", "bad"),
    "expired": ("Expired", "clock", ""),
    "purged": ("Thrown away", "x", "wait"),
    "moved": ("Moved away", "arrow", ""),
    "refused": ("A stale receipt was refused", "fence", ""),
}
# How an ordered sweep stands → (word, icon, hue)
SWEEPS: Final[dict[str, tuple[str, str, str]]] = {
    "running": ("Running", "busy", "busy"),
    "done": ("Done", "ok", "ok"),
    "stopped": ("Stopped", "pause", "wait"),
    "failed": ("Failed", "bad", "bad"),
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
COUNTER_STATES: Final[dict[str, tuple[str, str, str, bool]]] = {
    "disputed": ("Disputed", "bad", "bad", False),
    "unknown": ("Unknown", "unknown", "unknown", False),
    "at_bound": ("At its bound", "bar", "wait", False),
    "counting": ("Counting", "counter", "busy", False),
    "still": ("Still", "ended", "idle", False),
}
# What a change of a counter was → (word, icon)
CHANGES: Final[dict[str, tuple[str, str]]] = {
    "added": ("Added", "plus"),
    "set": ("Set", "reg"),
    "compare_and_set": ("Compared, set", "check"),
    "reset": ("Reset", "undo"),
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
        "queues": QUEUE_STATES,
        "messages": MESSAGES,
        "sweeps": SWEEPS,
        "kinds": KINDS,
        "counters": COUNTER_STATES,
        "changes": CHANGES,
        "verdicts": VERDICTS,
        "headlines": HEADLINES,
        "promises": promises.for_scripts(),
    }
