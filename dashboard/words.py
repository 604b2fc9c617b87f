"""The word, icon and hue of every state, once for templates and scripts alike. Pure.

Hues: ok proven or done, busy at work, wait undecided, bad broken, idle ended, unknown.
"""

from __future__ import annotations

from typing import Any, Final

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


def for_scripts() -> dict[str, Any]:
    """The same tables as JSON values."""
    return {"states": STATES, "verdicts": VERDICTS, "headlines": HEADLINES}
