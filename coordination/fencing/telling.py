"""Has the records of locks know of writes that were refused, whoever refused them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from coordination.exceptions import StaleToken
from coordination.fencing.tokens import Token
from coordination.locks import stale_writes
from coordination.locks.projection import key_of
from coordination.locks.stale_writes import StaleWrite
from coordination.locks.types import Resource


@runtime_checkable
class Granted(Protocol):
    """A grant, as far as it says of which lock it is."""

    @property
    def resource(self) -> Resource: ...

    @property
    def store(self) -> str: ...

    @property
    def owner(self) -> str: ...


@contextmanager
def telling(token: Token | None, *, what: str = "") -> Iterator[None]:
    """Tell of a write with `token` that is refused in this block; its StaleToken goes on.

    `what` was to be written, where the error's name does not say it.
    """
    try:
        yield
    except StaleToken as error:
        if error.token is not None:
            key, owner = _lock_of(token)
            stale_writes.tell(
                StaleWrite(
                    what=what or str(error.name),
                    token=error.token,
                    newer=error.newer,
                    key=key,
                    owner=owner,
                )
            )
        raise


def _lock_of(token: object) -> tuple[str, str]:
    """The key of the lock that was granted, and to whom; a number alone does not say."""
    if not isinstance(token, Granted):
        return "", ""
    return key_of(token.store, token.resource.kind, token.resource.name), token.owner
