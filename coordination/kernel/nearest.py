"""The nearest known name to a mistyped one."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known name closest to ``word`` regardless of case, or None when none is close."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    matches = get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[matches[0]] if matches else None


def unknown_message(what: str, word: object, known: Iterable[str]) -> str:
    """Return "Unknown <what> 'word'." with a did-you-mean, or else the known names."""
    names = sorted(known)
    close = nearest(word, names) if isinstance(word, str) else None
    if close is not None:
        return f"Unknown {what} {word!r}. Did you mean {close!r}?"
    listed = ", ".join(repr(name) for name in names) or "none"
    return f"Unknown {what} {word!r}. Known: {listed}."
