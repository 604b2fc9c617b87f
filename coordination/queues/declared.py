"""What this process knows queues to be: asked of the store once, and again when it disagrees."""

from collections.abc import Mapping
from typing import Any

from django.core.signals import setting_changed

from coordination.exceptions import OutcomeUnknown, StoreUnavailable
from coordination.queues.store import QueueStore
from coordination.queues.types import Declaration

_known: dict[tuple[str, str], Declaration] = {}
"""By alias of the store and name. At most one a name, so it does not outgrow the queues there are.
"""


def declared(store: QueueStore, name: str, given: Mapping[str, Any]) -> Declaration:
    """What the queue is. Raises InvalidArgument when it was declared otherwise.

    StoreUnavailable when the store does not say: what is to be done with the queue is not begun.
    """
    known = _known.get((store.alias, name))
    if known is not None and all(getattr(known, word) == given[word] for word in given):
        return known
    try:
        return remember(store, store.declare(name, given))
    except OutcomeUnknown as error:
        raise StoreUnavailable(str(error), name=name, store=store.alias) from error


def redeclared(store: QueueStore, name: str, given: Mapping[str, Any]) -> Declaration:
    """What the queue is after a change for everybody."""
    return remember(store, store.declare(name, given, replace=True))


def remember(store: QueueStore, found: Declaration) -> Declaration:
    """Know it from now on."""
    _known[store.alias, found.name] = found
    return found


def _forget(*, setting: str, **_: object) -> None:
    if setting == "COORDINATION":
        _known.clear()


setting_changed.connect(_forget, dispatch_uid="coordination.queues.declared")
