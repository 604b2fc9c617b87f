"""Known ways to get transactions wrong, one class each. The simulator must find every one."""

from tests.unit.simulation.mutants import (
    forms,
    participants,
    paxos,
    progress,
    register,
    saga,
    votes,
)
from tests.unit.simulation.mutants.mutant import Mutant

__all__ = [
    "MUTANTS",
    "Mutant",
    "forms",
    "participants",
    "paxos",
    "progress",
    "register",
    "saga",
    "votes",
]


def _all(kind: type[Mutant]) -> list[type[Mutant]]:
    return [each for direct in kind.__subclasses__() for each in (direct, *_all(direct))]


MUTANTS = tuple(_all(Mutant))
