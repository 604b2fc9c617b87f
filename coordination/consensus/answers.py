"""What is told of one register where many are asked for at once: values, not errors."""

from collections.abc import Callable
from dataclasses import dataclass

from coordination.consensus.types import Forgotten, Register, forgotten
from coordination.exceptions import (
    CoordinationError,
    OutcomeUnknown,
    RegisterForgotten,
    StoreUnavailable,
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The register holds this value for ever."""

    value: str


@dataclass(frozen=True, slots=True)
class Unchosen:
    """It held nothing when the call began. The next moment it may."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """What it holds was not learned."""

    reason: str
    offered: bool = False
    """Whether the caller's value was offered, and so may yet be chosen. False: it will not be,
    by this call."""


Answer = Chosen | Unchosen | Unknown | Forgotten


def answer_of(
    register: Register, call: Callable[[str | None], str | None], wish: str | None
) -> Answer:
    """What `call(wish)` returns or raises, as a value."""
    try:
        value = call(wish)
    except RegisterForgotten:
        return Forgotten(register.period + 1)
    except (StoreUnavailable, OutcomeUnknown) as error:
        return Unknown(str(error), offered=error.applied is None and wish is not None)
    return Unchosen() if value is None else Chosen(value)


def value_of(answer: Answer, register: Register, *, store: str) -> str | None:
    """The value that an answer tells of, or None. Raises what the answer stands for."""
    match answer:
        case Chosen(value):
            return value
        case Unchosen():
            return None
        case Forgotten(floor):
            raise forgotten(floor, register, store=store)
    raise _unknown(answer, register, store)


def _unknown(answer: Unknown, register: Register, store: str) -> CoordinationError:
    name, why = register.name, answer.reason
    if answer.offered:
        return OutcomeUnknown(
            f"Register {name!r}: its value was offered, and no majority told of it: {why}.",
            name=name,
            store=store,
            reason=why,
        )
    return StoreUnavailable(
        f"Register {name!r}: no majority of the acceptors answered: {why}.",
        name=name,
        store=store,
        reason=why,
    )
