"""The registry of participants: named code that does one part of a transaction.

Modules called `participants` of every installed app are imported at start-up. A message carries a
name, never a path, so only registered code can be run.
"""

import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from coordination import conf
from coordination.exceptions import CoordinationError, InvalidArgument, UnknownParticipant
from coordination.kernel.names import NAME_BYTES_MAX, validate_name
from coordination.kernel.nearest import unknown_message
from coordination.transactions.types import Mode

Body = TypeVar("Body", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one call of a participant is to be done, and how."""

    using: str
    mode: Mode
    subject: str
    """What it is done to, for people: it is told behind the participant's name."""
    args: Mapping[str, Any]
    """The arguments as the body takes them: what was left open is settled, whatever settings say
    by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """One registered participant. `body` prepares (xa), reserves (tcc) or acts (saga)."""

    name: str
    using: str
    mode: Mode
    body: Callable[..., Any]
    confirm: Callable[..., Any] | None = None
    cancel: Callable[..., Any] | None = None
    place: Callable[[Mapping[str, Any]], Place] | None = None
    """Of one whose database and mode follow from its arguments, which it checks."""
    elsewhere: bool = False
    """Its steps act on a store that shares no transaction with its barrier. What a step did there
    stays when the barrier is undone, so a cancel is told to it whatever the barrier says."""
    ended: Callable[..., Any] | None = None
    """Called when the barrier of a confirm is durable, until it has returned: what was remembered
    for its repetition may be forgotten."""
    seen: Callable[..., Any] | None = None
    """Called with the arguments when an xa branch is committed, if nothing comes in between: it may
    wake those who wait for what can be seen now. No transaction depends on it."""

    def tell_seen(self, args: Mapping[str, Any]) -> None:
        """Call `seen`, if there is one and the arguments are at hand."""
        if self.seen is not None and args:
            with suppress(CoordinationError):
                self.seen(**args)

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
        classes = {Mode.TCC.value: "TCC", Mode.SAGA.value: "Saga"}
        hint = f"; subclass coordination.{classes[mode]} for it" if mode in classes else ""
        raise InvalidArgument(
            f"participant {name!r}: mode must be 'xa', not {mode!r}{hint}.", name=name
        )

    def decorate(body: Body) -> Body:
        register(Participant(name=name, using=using, mode=Mode.XA, body=body))
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
        register(
            Participant(
                name=cls.name,
                using=cls.using,
                mode=Mode.TCC,
                body=one.reserve,  # type: ignore[attr-defined]
                confirm=one.confirm,  # type: ignore[attr-defined]
                cancel=one.cancel,  # type: ignore[attr-defined]
            )
        )


class Saga:
    """A step of a saga: `action`, seen by everybody at once, and `compensate` after an abort.

    Subclass with `name` (and `using`) and the two methods, each `(self, ctx, **args)`, each taking
    effect at most once, in one local transaction with its barrier. `compensate` may not refuse: it
    is tried until it succeeds. The pivot, and what comes behind it, need none.
    """

    name: ClassVar[str]
    using: ClassVar[str] = "default"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            return
        if not callable(getattr(cls, "action", None)):
            raise InvalidArgument(f"Saga {cls.__name__} lacks action.", name=cls.name)
        compensate = getattr(cls, "compensate", None)
        if compensate is not None and not callable(compensate):
            raise InvalidArgument(
                f"Saga {cls.__name__}: compensate must be a method, not {compensate!r:.80}.",
                name=cls.name,
            )
        one = cls()
        register(
            Participant(
                name=cls.name,
                using=cls.using,
                mode=Mode.SAGA,
                body=one.action,  # type: ignore[attr-defined]
                cancel=getattr(one, "compensate", None),
            )
        )


def register(new: Participant) -> None:
    """Add it to the registry. Raises InvalidName; InvalidArgument for a name that is taken."""
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


def named(name: str, subject: str) -> str:
    """The name of a participant with what its call is done to, where there is room for it."""
    whole = f"{name}:{subject}"
    return whole if len(whole.encode()) <= NAME_BYTES_MAX else name


def find(name: str) -> Participant | None:
    """The participant that this process can run or call, also if its subject is told behind it."""
    found = _registry.get(name)
    if found is None:
        found = _registry.get(name.partition(":")[0])
        found = found if found is not None and found.place is not None else None
    if found is None or found.place is None:
        return _called_by_http(name) or found
    return found


def _called_by_http(name: str) -> Participant | None:
    """What COORDINATION["HTTP_PARTICIPANTS"] has under the name: code of another service."""
    if conf.current().http_service(name) is None:
        return None
    return Participant(name=name, using="", mode=Mode.HTTP, body=_by_http)


def _by_http(ctx: object, **args: object) -> None:
    """Stands for code that is elsewhere, and takes any arguments, as that checks its own."""
    raise AssertionError("a participant that is called by HTTP has no body here")


def lookup(name: str) -> Participant:
    """The participant `name`, or UnknownParticipant naming the nearest one."""
    found = find(name)
    if found is None:
        raise UnknownParticipant(
            f"{unknown_message('participant', name, _registry)} Define it in an installed app's "
            "participants.py, or route its name to a node with COORDINATION['PARTICIPANTS'], to a "
            "service with ['HTTP_PARTICIPANTS'].",
            name=name,
        )
    return found
