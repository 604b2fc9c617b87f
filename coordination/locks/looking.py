"""Looks after what no event tells: leases that ran out unsaid, queues that were forgotten, gaps.

A store says that a lease ran out when somebody asks for the lock again. So that the history is
complete without that, it is asked here. Where asking does not help, because the store itself
forgot, the resource is told anew from a snapshot.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from itertools import groupby

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.exceptions import CoordinationError
from coordination.locks.importing import Importer
from coordination.locks.stores import lock_store
from coordination.locks.types import Kind, Mode, Request, Resource

logger = logging.getLogger(__name__)

LOOKED_MAX = 100
"""How many resources are looked after at once."""
AGAIN_S = 60.0
"""A snapshot that changed nothing is not taken again for so long."""
NOBODY = "concord-look"
"""No request has this id: to renew it makes the store clear up, and changes nothing else."""

# Overdue by this database's clock, a second late so that the store's has come as far; what nobody
# holds is asked about after a minute, for its queue may have died. `vain`: asking has not helped.
# The last to run out come first: a store that is gone must not keep others from being asked.
OVERDUE = """
(SELECT store, kind, name, until < now() - interval '15 s' AS vain
    FROM concord_lock_record WHERE until < now() - interval '1 s' ORDER BY until DESC LIMIT %s)
UNION ALL
(SELECT store, kind, name, changed_at < now() - interval '1 hour'
    FROM concord_lock_record
    WHERE waiting > 0 AND holding = 0 AND changed_at < now() - interval '60 s' LIMIT %s)
"""
# Those whose events have all been folded: what is on its way may tell.
GAPS = """
SELECT store, kind, name FROM concord_lock_record r WHERE gap AND NOT EXISTS (
    SELECT FROM concord_event e
    WHERE e.object = 'lock' AND e.name = r.key AND e.version > r.version)
LIMIT %s
"""

Found = tuple[str, Resource]
"""Store and resource."""


class Lookout:
    """Looks after the records in the database alias `using`."""

    def __init__(self, using: str, importer: Importer) -> None:
        self._using, self._importer = using, importer
        self._looked: dict[Found, float] = {}

    def look(self) -> None:
        """Ask the stores about what is overdue; called about once a second."""
        overdue, gaps = database.run(
            self._using,
            Statement(OVERDUE, (LOOKED_MAX, LOOKED_MAX)),
            Statement(GAPS, (LOOKED_MAX,)),
        )
        found = [
            ((store, Resource(Kind(kind), name)), vain) for store, kind, name, vain in overdue.rows
        ]
        self._touch([each for each, _vain in found])
        self._tell_anew([each for each, vain in found if vain])
        self._tell_anew([(store, Resource(Kind(kind), name)) for store, kind, name in gaps.rows])

    def _touch(self, found: Iterable[Found]) -> None:
        for alias, group in groupby(sorted(found, key=_store), key=_store):
            requests = [_nobodys(resource) for _, resource in group]
            try:
                lock_store(alias).renew(requests)
            except CoordinationError as error:
                # It is not reached, or no longer configured; the records say until when.
                logger.debug("%s was not asked about %d leases: %s", alias, len(requests), error)

    def _tell_anew(self, found: Iterable[Found]) -> None:
        now = time.monotonic()
        self._looked = {each: at for each, at in self._looked.items() if now - at < AGAIN_S}
        fresh = [each for each in found if each not in self._looked]
        self._looked |= dict.fromkeys(fresh, now)
        for alias, resource in fresh:
            self._importer.resync(alias, [resource])


def _store(found: Found) -> str:
    return found[0]


def _nobodys(resource: Resource) -> Request:
    return Request(
        resource=resource,
        id=NOBODY,
        mode=Mode.EXCLUSIVE,
        ttl_ms=1,
        owner=NOBODY,
        context="",
        metadata="{}",
        kept_ms=1,
    )
