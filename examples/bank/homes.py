"""Which of the two databases an account lives in; pure, used by every other module of the bank."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Home:
    """One database of the bank: its letter in participant names and its Django alias."""

    letter: str
    alias: str


HOMES = (Home(letter="a", alias="bank_a"), Home(letter="b", alias="bank_b"))
ALIASES = tuple(home.alias for home in HOMES)
DRAWERS = 16
"""Drawers of cash in each database; more than one, so that cash is no hot row."""


def home_of(account: int) -> Home:
    """Even accounts live in `bank_a`, odd ones in `bank_b`."""
    return HOMES[account % 2]


def other_home(home: Home) -> Home:
    """The database that is not `home`."""
    return HOMES[1] if home == HOMES[0] else HOMES[0]
