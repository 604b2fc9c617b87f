"""Values of optimistic concurrency."""

from dataclasses import dataclass

VALUE_BYTES_MAX = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A name as an attempt read it."""

    version: int
    """0 when nobody has written it."""
    value: str
    """JSON."""
    writer: str = ""
    """Which call wrote this version, where a store may forget versions and count them anew."""


ABSENT = Seen(version=0, value="null")


class Conflicted(Exception):
    """What an attempt read has changed since. For the loop of attempts alone."""
