"""The registry of participants: named code that does one part of a transaction.

Modules called `participants` of every installed app are imported at start-up. A message carries a
name, never a path, so only registered code can be run.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from coordination.exceptions import InvalidArgument, UnknownParticipant
from coordination.kernel.names import validate_name
from coordination.kernel.nearest import unknown_message
from coordination.transactions.types import Mode

Body = TypeVar("Body", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """One registered participant. `body` prepares (xa) or reserves (tcc)."""

    name: str
    using: str
    mode: Mode
    body: Callable[..., Any]
    confirm: Callable[..., Any] | None = None
    cancel: Callable[..., Any] | None = None

    def check_arguments(self, args: Mapping[str, Any]) -> None:
        """Raise InvalidArgument unless the body could be called with `args`."""
        try:
            _bind(self.body, tuple(args))
        except TypeError as error:
            raise InvalidArgument(f"participant {self.name!r}: {error}.", name=self.name) from error


@lru_cache(maxsize=1_024)
def _bind(body: Callable[..., Any], names: tuple[str, ...]) -> None:
    """Raise TypeError unless `body(ctx, **args)` takes arguments of these names, and only these."""
    inspect.signature(body).bind(None, **dict.fromkeys(names))


_registry: dict[str, Participant] = {}


def participant(name: str, *, using: str = "default", mode: str = "xa") -> Callable[[Body], Body]:
    """Register a function `body(ctx, **args)` as the participant `name`.

    Args:
        name: what `enlist` calls it.
        using: the Django database alias its work is done on.
        mode: "xa": its work becomes a prepared transaction of PostgreSQL. Three-step participants
            subclass `TCC` instead.

    Raises InvalidArgument for another mode or a name that is taken.
    """
    if mode != Mode.XA:
        hint = "; subclass coordination.TCC for it" if mode == Mode.TCC else ""
        raise InvalidArgument(
            f"participant {name!r}: mode must be 'xa', not {mode!r}{hint}.", name=name
        )

    def decorate(body: Body) -> Body:
        _register(Participant(name=name, using=using, mode=Mode.XA, body=body))
        return body

    return decorate


class TCC:
    """A participant in three steps: `reserve`, then `confirm` or `cancel`.

    Subclass with `name` (and `using`) and the three methods, each `(self, ctx, **args)`. `reserve`
    sets aside what `confirm` will need, because confirm and cancel may not refuse: they are tried
    until they succeed. Each takes effect at most once, in one local transaction with its barrier.
    """

    name: ClassVar[str]
    using: ClassVar[str] = "default"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            return
        steps = {step: getattr(cls, step, None) for step in ("reserve", "confirm", "cancel")}
        missing = [step for step, method in steps.items() if not callable(method)]
        if missing:
            raise InvalidArgument(f"TCC {cls.__name__} lacks {', '.join(missing)}.", name=cls.name)
        one = cls()
        _register(
            Participant(
                name=cls.name,
                using=cls.using,
                mode=Mode.TCC,
                body=one.reserve,  # type: ignore[attr-defined]
                confirm=one.confirm,  # type: ignore[attr-defined]
                cancel=one.cancel,  # type: ignore[attr-defined]
            )
        )


def _register(new: Participant) -> None:
    validate_name(new.name, what="participant name")
    known = _registry.get(new.name)
    # A module imported twice registers the same code again; two bodies under one name are a bug.
    if known is not None and _origin(known) != _origin(new):
        raise InvalidArgument(
            f"participant {new.name!r} is registered twice: {_origin(known)} and {_origin(new)}.",
            name=new.name,
        )
    _registry[new.name] = new


def _origin(entry: Participant) -> str:
    return f"{entry.body.__module__}.{entry.body.__qualname__}"


def registered() -> Mapping[str, Participant]:
    """Every participant of this process, by name."""
    return MappingProxyType(_registry)


def lookup(name: str) -> Participant:
    """The participant `name`, or UnknownParticipant naming the nearest one."""
    found = _registry.get(name)
    if found is None:
        raise UnknownParticipant(
            f"{unknown_message('participant', name, _registry)} Define it in an installed app's "
            "participants.py, or route its name to a node with COORDINATION['PARTICIPANTS'].",
            name=name,
        )
    return found
