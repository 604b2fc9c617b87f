"""Questions put to the servers: can they be reached, and can they keep Concord's promises?"""

from dataclasses import dataclass

from django.core.checks import CheckMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What one server answered."""

    name: str
    """Which one: ``database default``, ``redis redis``, ``broker``."""
    answered: bool
    detail: str
    """Version and the values that matter, or why there was no answer."""
    messages: tuple[CheckMessage, ...] = ()
    """What is wrong with it, as system checks."""
