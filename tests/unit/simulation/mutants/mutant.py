"""What a mutant is, and what several of them do alike."""

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from coordination.transactions.engine import Effect, Send
from coordination.transactions.machine import BranchRow, Row
from coordination.transactions.types import Form, Phase
from coordination.verification.simulation.engine.kinds import Shape
from coordination.verification.simulation.engine.rules import Rules
from coordination.verification.simulation.faults import FaultKind
from coordination.verification.simulation.protocols.two_phase import (
    LAST,
    ONE_PHASE,
    SHAPES,
    TCC,
    XA,
    TwoPhase,
)

DELAYS = (FaultKind.CRASH, FaultKind.PAUSE, FaultKind.MESSAGE_DUPLICATED, FaultKind.MESSAGE_LATE)
"""Faults by which one attempt meets another, where they are rare otherwise."""
NO_END = "no end within"
ONLY_XA = (Shape((XA, XA)), Shape((XA, XA, XA)))
ONLY_TCC = (Shape((TCC, TCC)), Shape((TCC, TCC), inline=True))
ONLY_ONE_PHASE = (Shape((ONE_PHASE,)),)
ONLY_LAST = (Shape((XA, LAST), inline=True), Shape((LAST,), inline=True))


class Mutant(Rules):
    """A mistake: words of what it breaks, and where it is looked for: branches, kinds of faults."""

    adapter: ClassVar[type[TwoPhase]] = TwoPhase
    shapes: ClassVar[tuple[Shape, ...]] = SHAPES
    kinds: ClassVar[tuple[FaultKind, ...] | None] = None
    breaks: ClassVar[tuple[str, ...]]


def as_if_prepared(row: Row, act: Callable[[Row], Row]) -> Row:
    """What the rules would do if every branch were an ordinary one."""
    forms = [branch.form for branch in row.branches]
    after = act(replace(row, branches=_formed(row, [Form.PREPARE] * len(forms))))
    return replace(after, branches=_formed(after, forms))


def _formed(row: Row, forms: list[Form]) -> tuple[BranchRow, ...]:
    pairs = zip(row.branches, forms, strict=True)
    return tuple([replace(branch, form=form) for branch, form in pairs])


def without(effects: tuple[Effect, ...], phase: Phase) -> tuple[Effect, ...]:
    """The effects without what is sent of a phase."""
    return tuple([e for e in effects if not (isinstance(e, Send) and e.phase is phase)])
