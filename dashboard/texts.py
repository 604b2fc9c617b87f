"""Numbers, durations and times as people read them; `format.js` says the same. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def duration(ms: int) -> str:
    """`0.4 s`, `21.0 s`, `2 min 18 s`, `1 h 51 min`, `3 d 4 h`."""
    seconds = max(0, ms) / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3_600} h {whole % 3_600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3_600} h"


def span(ms: int) -> str:
    """`40 ms`, `1.2 s`: for times that may be short."""
    return f"{ms} ms" if ms < 1000 else duration(ms)


def clock(ms: int | None, *, exact: bool = True) -> str:
    """The time of day, UTC, with milliseconds or without."""
    if ms is None:
        return ""
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return f"{moment:%H:%M:%S}" + (f".{ms % 1000:03d}" if exact else "")


def date_time(ms: int) -> str:
    """`23 Nov 2026, 12:03:21`."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%-d %b %Y, %H:%M:%S}"


def rate(value: float | None) -> str:
    """`0`, `0.4`, `212`, or a dash for what is not known."""
    if value is None:
        return "–"  # noqa: RUF001 - as people write it
    return f"{value:.1f}" if 0 < value < 10 else f"{value:,.0f}"


def number(value: int) -> str:
    """`9,604`."""
    return f"{value:,}"


def capped(value: int, most: int) -> str:
    """A count that stopped counting at `most`: `10,000+`."""
    return f"{most:,}+" if value > most else f"{value:,}"
