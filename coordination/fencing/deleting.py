"""Deleting fenced rows: whoever deletes one, also by a cascade, says with which token.

Django tells of each row before it deletes it, within the transaction that does.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import models
from django.db.models.signals import pre_delete

from coordination.exceptions import InvalidArgument
from coordination.fencing.comparing import claim, table_of
from coordination.fencing.telling import telling
from coordination.fencing.tokens import UNFENCED, Token, fence_of


class _Deletion:
    """With which token rows are being deleted here, and which of them it was compared with."""

    def __init__(self, token: Token) -> None:
        self.token = token
        self._claimed: set[tuple[type[models.Model], str, Any]] = set()

    def claim(self, model: type[models.Model], using: str, keys: Collection[Any]) -> None:
        fence = fence_of(self.token, what=f"deleting {model._meta.label}")
        home = table_of(model)
        new = [key for key in keys if (home, using, key) not in self._claimed]
        if fence is not UNFENCED and new:
            with telling(self.token):
                claim(model, using, new, fence)
            self._claimed.update((home, using, key) for key in new)


_current: ContextVar[_Deletion | None] = ContextVar("concord_deletion", default=None)


@contextmanager
def cascading(token: Token) -> Iterator[_Deletion]:
    """Let what is deleted in this block take fenced rows with it, as far as `token` allows.

    Raises StaleToken from the delete inside, which then deletes nothing.
    """
    fence_of(token, what="cascading()")
    deletion = _Deletion(token)
    reset = _current.set(deletion)
    try:
        yield deletion
    finally:
        _current.reset(reset)


def token_of_the_cascade() -> Token | None:
    """What `cascading` was called with, if this runs within it."""
    deletion = _current.get()
    return None if deletion is None else deletion.token


def guard(sender: type[models.Model]) -> None:
    """Have each row of this model compared before it is deleted."""
    pre_delete.connect(_before, sender=sender, dispatch_uid="coordination.fencing")


def _before(sender: type[models.Model], instance: models.Model, using: str, **_: object) -> None:
    deletion = _current.get()
    if deletion is None:
        raise InvalidArgument(
            f"{sender._meta.label} {instance.pk!r:.80} is fenced and would be deleted without a "
            "token: pass token= to its delete(), call .fenced(grant).delete() on the queryset, or "
            "delete what it hangs on within `with cascading(grant):`."
        )
    key = getattr(instance, table_of(sender)._meta.pk.attname)
    deletion.claim(sender, using, [key])
