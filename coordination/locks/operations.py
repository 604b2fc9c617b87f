"""What operators may do to locks, always through the public API and always recorded by the store.

An operator decides by what a page showed, which is a read model and may be late. So each operation
asks the store first, and does nothing when others hold the lock now than those who were shown.
Between that look and the deed somebody may still give it back and another take it: the answer tells
whose tokens it fell on.
"""

import logging
from dataclasses import dataclass
from typing import Any

from coordination import registry
from coordination.exceptions import InvalidArgument, NotOwner, OutcomeUnknown, StoreUnavailable
from coordination.intervening.failures import NOTHING_DONE
from coordination.intervening.reasons import require_actor, require_reason
from coordination.locks.api import lock
from coordination.locks.options import resource_of
from coordination.locks.stores import lock_store
from coordination.locks.types import Kind, LockInfo

logger = logging.getLogger(__name__)

GRACE_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A lock as its operator saw it: where it lives, and the tokens of those who held it."""

    kind: str
    name: str
    store: str
    tokens: frozenset[int]


def look(kind: str, name: str, *, store: str) -> LockInfo:
    """How it stands, by its store's own word.

    Raises InvalidName, InvalidArgument for an unknown kind or store, StoreUnavailable or
    OutcomeUnknown when the store does not answer.
    """
    resource = resource_of(_kind(kind), name)
    return lock_store(registry.route(resource.kind, name, using=store)).info(resource)


def ask_to_release(shown: Shown, *, actor: str, reason: str, grace: Any = GRACE_S) -> int:
    """Ask those who were shown to give it back; after `grace` seconds it is renewed no more.

    Returns how many were asked. Raises NotOwner when others hold it now, StoreUnavailable when the
    store does not say who does (nobody was asked), OutcomeUnknown when it does not say whether it
    asked them, InvalidArgument without a reason of at least ten characters.
    """
    require_actor(actor)
    require_reason(reason)
    _require_same(shown)
    asked = lock.request_revoke(
        shown.name, using=shown.store, grace=grace, reason=reason, actor=actor, kind=shown.kind
    )
    logger.info("%s %s: %s asked to release by %s", shown.kind, shown.name, asked, actor)
    return asked


def force_release(shown: Shown, *, actor: str, reason: str) -> list[int]:
    """Take it away from those who were shown; returns the tokens it was held by.

    Raises NotOwner when others hold it now, StoreUnavailable when the store does not say who does
    (nothing was taken away), OutcomeUnknown when it does not say whether it did, InvalidArgument
    without a reason.
    """
    require_actor(actor)
    require_reason(reason)
    _require_same(shown)
    tokens = lock.force_release(
        shown.name, using=shown.store, reason=reason, actor=actor, kind=shown.kind
    )
    logger.info("%s %s: tokens %s taken away by %s", shown.kind, shown.name, tokens, actor)
    return tokens


def _require_same(shown: Shown) -> None:
    try:
        found = look(shown.kind, shown.name, store=shown.store)
    except OutcomeUnknown as error:
        # Only the look has no answer; the deed was not begun.
        raise StoreUnavailable(str(error), name=shown.name, store=shown.store) from error
    tokens = frozenset(each.token or 0 for each in found.holders)
    if tokens != shown.tokens:
        raise NotOwner(
            f"It has changed meanwhile: {_told(found)}. {NOTHING_DONE}",
            name=shown.name,
            store=shown.store,
        )


def _told(found: LockInfo) -> str:
    if not found.holders:
        return "nobody holds it now"
    first = found.holders[0]
    rest = f" and {len(found.holders) - 1} more" if len(found.holders) > 1 else ""
    return f"it is held by {first.owner}, token {first.token}{rest}"


def _kind(kind: str) -> Kind:
    try:
        return Kind(kind)
    except ValueError:
        raise InvalidArgument(f"there is no kind {kind!r:.40}.") from None
