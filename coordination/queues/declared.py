"""What this process knows queues to be: asked of the store once, again when it disagrees, and now
and then, since somebody may have redeclared the queue elsewhere.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.signals import setting_changed

from coordination.exceptions import (
    CoordinationError,
    InvalidArgument,
    OutcomeUnknown,
    StoreUnavailable,
)
from coordination.queues.declaring import as_fields
from coordination.queues.store import QueueStore
from coordination.queues.types import Declaration

logger = logging.getLogger(__name__)

FRESH_S = 5.0
"""How long a process may go by what a queue was, after it was redeclared elsewhere."""

Given = frozenset[tuple[str, Any]]


@dataclass
class _Known:
    """What one queue was when it was asked for last."""

    found: Declaration
    asked_at: float = field(default_factory=time.monotonic)
    agreed: set[Given] = field(default_factory=set)
    """What was given here and held true once: a redeclaration ends no process that runs."""


_known: dict[tuple[str, str], _Known] = {}
"""By alias of the store and name. At most one a name, so it does not outgrow the queues there are.
"""


def declared(store: QueueStore, name: str, given: Mapping[str, Any]) -> Declaration:
    """What the queue is. Raises InvalidArgument when it was declared otherwise.

    StoreUnavailable when the store does not say: what is to be done with the queue is not begun.
    """
    known = _known.get((store.alias, name))
    if known is not None and _agrees(known, given):
        if time.monotonic() - known.asked_at > FRESH_S:
            _look_again(store, known)
        return known.found
    try:
        found = remember(store, store.declare(name, given))
    except OutcomeUnknown as error:
        raise StoreUnavailable(str(error), name=name, store=store.alias) from error
    if given:
        _known[store.alias, name].agreed.add(frozenset(given.items()))
    return found


def redeclared(store: QueueStore, name: str, given: Mapping[str, Any]) -> Declaration:
    """What the queue is after a change for everybody."""
    return remember(store, store.declare(name, given, replace=True))


def remember(store: QueueStore, found: Declaration) -> Declaration:
    """Know it from now on."""
    before = _known.get((store.alias, found.name))
    _known[store.alias, found.name] = _Known(found, agreed=before.agreed if before else set())
    return found


def _agrees(known: _Known, given: Mapping[str, Any]) -> bool:
    if all(getattr(known.found, word) == given[word] for word in given):
        return True
    return frozenset(given.items()) in known.agreed


def _look_again(store: QueueStore, known: _Known) -> None:
    """Ask what it is by now; a store that does not answer is asked again later."""
    known.asked_at, name = time.monotonic(), known.found.name
    try:
        known.found = _stands(store, known.found)
    except CoordinationError as error:
        logger.info("queue %s on %s may have been redeclared: %s", name, store.alias, error)


def _stands(store: QueueStore, found: Declaration) -> Declaration:
    try:
        # By what is known: a store that forgot the queue makes it anew by that.
        return store.declare(found.name, as_fields(found))
    except InvalidArgument:
        now = store.declare(found.name, {})
        logger.warning("queue %s on %s is redeclared: %s", now.name, store.alias, as_fields(now))
        return now


def _forget(*, setting: str, **_: object) -> None:
    if setting == "COORDINATION":
        _known.clear()


setting_changed.connect(_forget, dispatch_uid="coordination.queues.declared")
