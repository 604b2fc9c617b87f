"""Events as their rows tell them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from coordination.kernel.events import Event

EVENT_COLUMNS: Final = "kind, object, name, version, at, node, actor, data"


def event_of(row: Sequence[Any]) -> Event:
    """The event in the last columns of a row, which are `EVENT_COLUMNS`."""
    kind, object_, name, version, at, node, actor, data = row[-8:]
    return Event(
        kind=kind,
        object=object_,
        name=name,
        version=version,
        at=at,
        node=node or "",
        actor=actor or "",
        # Django's connections hand out jsonb as text.
        data=json.loads(data) if isinstance(data, str) else data or {},
    )
