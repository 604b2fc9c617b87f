"""`locked`: a function that runs while it holds a lock named after its arguments."""

import functools
import inspect
import random
import string
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from enum import StrEnum
from typing import Any, ParamSpec, TypeVar, cast

from celery import current_task

from coordination.exceptions import InvalidArgument, LockTimeout
from coordination.locks.api import Lock, lock
from coordination.locks.grant import Grant
from coordination.locks.options import options_of
from coordination.locks.types import Kind, Resource

P = ParamSpec("P")
R = TypeVar("R")

RETRY_S = (1.0, 3.0)
"""Between which a busy task is tried again, so that those who met do not meet again."""


class OnBusy(StrEnum):
    """What a call does when the lock is busy."""

    RAISE = "raise"
    """Raise LockTimeout at once."""
    SKIP = "skip"
    """Return None at once."""
    WAIT = "wait"
    """Wait as long as `wait` says, then raise LockTimeout."""
    RETRY = "retry"
    """Let Celery try the task again soon."""


def locked(
    name: str, *, on_busy: str = OnBusy.WAIT, pass_as: str | None = None, **options: Any
) -> Callable[[Callable[P, R]], Callable[P, R | None]]:
    """Let a function run only while it holds a lock; `async def` functions too.

    Args:
        name: of the lock; `{fields}` stand for arguments of the call, by their names in the
            signature: `"order:{order_id}"`, `"doc:{self.pk}"`.
        on_busy: "wait" (as long as `wait`), "raise" LockTimeout, "skip" (return None), or, under
            Celery, "retry" the task a little later.
        pass_as: the keyword under which the function gets its grant, for `grant.token`.
        **options: as for `lock`.

    Raises InvalidArgument where it decorates; the call raises InvalidName when its arguments make
    no valid name, and what `with lock(…)` raises.
    """
    choice = _on_busy(on_busy)
    options_of(Resource(Kind.LOCK, "checked"), options)

    def decorate(function: Callable[P, R]) -> Callable[P, R | None]:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise InvalidArgument(
                f"{function.__name__} is a generator: it runs when its call has returned and the "
                "lock is given back: use `with lock(…)` in it."
            )
        signature = inspect.signature(function)
        _refuse_unknown_fields(name, signature)

        def lock_of(*args: Any, **kwargs: Any) -> Lock:
            bound = signature.bind_partial(*args, **kwargs)
            bound.apply_defaults()
            wait = {} if choice is OnBusy.WAIT else {"wait": 0}
            return lock(name.format(**bound.arguments), **{**options, **wait})

        def given(kwargs: dict[str, Any], grant: Grant) -> dict[str, Any]:
            return kwargs if pass_as is None else {**kwargs, pass_as: grant}

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def acall(*args: P.args, **kwargs: P.kwargs) -> Any:
                async with AsyncExitStack() as held:
                    try:
                        grant = await held.enter_async_context(lock_of(*args, **kwargs))
                    except LockTimeout as busy:
                        _skip(choice, busy)
                        return None
                    return await function(*args, **given(kwargs, grant))

            return cast("Callable[P, R | None]", acall)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R | None:
            with ExitStack() as held:
                try:
                    grant = held.enter_context(lock_of(*args, **kwargs))
                except LockTimeout as busy:
                    _skip(choice, busy)
                    return None
                return function(*args, **given(kwargs, grant))

        return call

    return decorate


def _skip(choice: OnBusy, busy: LockTimeout) -> None:
    """Return when the call is to be skipped; raise otherwise."""
    if choice is OnBusy.SKIP:
        return
    task: Any = current_task
    if choice is OnBusy.RETRY and task and not task.request.called_directly:
        raise task.retry(exc=busy, countdown=random.uniform(*RETRY_S), max_retries=None)  # noqa: S311
    raise busy


def _on_busy(choice: str) -> OnBusy:
    try:
        return OnBusy(choice)
    except ValueError:
        known = ", ".join(repr(each.value) for each in OnBusy)
        raise InvalidArgument(f"on_busy must be one of {known}, not {choice!r:.40}.") from None


def _refuse_unknown_fields(name: object, signature: inspect.Signature) -> None:
    if not isinstance(name, str):
        raise InvalidArgument(f"locked takes the name of a lock first, not {name!r:.80}.")
    for _, field, _, _ in string.Formatter().parse(name):
        if field is None:
            continue
        argument = field.partition(".")[0].partition("[")[0]
        if argument not in signature.parameters:
            raise InvalidArgument(
                f"The lock name {name!r} speaks of {{{field}}}, but the function has no argument "
                f"{argument!r}."
            )
