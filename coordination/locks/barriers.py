"""`barrier`: nobody goes on before so many have come."""

from typing import Any

from coordination import registry
from coordination.exceptions import LockTimeout
from coordination.locks import asynchronous, waiting
from coordination.locks.asking import request_for
from coordination.locks.options import (
    DEFAULT,
    count,
    options_of,
    refuse_unknown,
    resource_of,
    seconds,
)
from coordination.locks.stores import lock_store
from coordination.locks.taken import Taken
from coordination.locks.types import Held, Kind, LockInfo, Mode
from coordination.threads import refuse_in_event_loop

KNOWN = ("using", "owner", "metadata")
PASSING_S = 10
"""How long the store shows who has passed, should he not say that he has gone on."""


class Barrier:
    """A barrier by name. It may be used again at once, by the next who come."""

    def __init__(self, name: str, *, parties: int, **options: Any) -> None:
        self.resource = resource_of(Kind.BARRIER, name)
        self.parties = count(parties, what="parties")
        refuse_unknown(Kind.BARRIER, options, KNOWN)
        self._options = options_of(
            self.resource,
            {**options, "ttl": PASSING_S},
            known=(*KNOWN, "ttl"),
            mode=Mode.PARTY,
            limit=self.parties,
        )
        self.store = registry.route(Kind.BARRIER, name, using=self._options.using)
        self._locks = lock_store(self.store)

    @property
    def name(self) -> str:
        return self.resource.name

    def wait(self, wait: Any = DEFAULT) -> int:
        """Wait for the others; returns the order of arrival, from 0.

        Args:
            wait: seconds, LOCKS["WAIT"] by default; None for ever.

        Raises LockTimeout when fewer than `parties` were there at the end, StoreUnavailable or
        OutcomeUnknown from the store. Whoever died waiting does not count.
        """
        refuse_in_event_loop("wait", "wait_async")
        wait_s = seconds(wait, default=self._options.wait_s)
        request = request_for(self.resource, self._options)
        taken = waiting.take(self._locks, request, wait_s=wait_s)
        held = self._let_go(taken, wait_s)
        waiting.give_up(self._locks, request)
        return held.index

    async def wait_async(self, wait: Any = DEFAULT) -> int:
        """As `wait`."""
        wait_s = seconds(wait, default=self._options.wait_s)
        request = request_for(self.resource, self._options)
        taken = await asynchronous.take(self._locks, request, wait_s=wait_s)
        held = self._let_go(taken, wait_s)
        await asynchronous.in_thread(
            lambda: waiting.give_up(self._locks, request), store=self._locks
        )
        return held.index

    def info(self) -> LockInfo:
        """Who has come, in order."""
        return self._locks.info(self.resource)

    def _let_go(self, taken: Taken | None, wait_s: float | None) -> Held:
        if taken is None:
            raise LockTimeout(
                f"{self.resource}: fewer than {self.parties} had come after {wait_s or 0:g} s.",
                name=self.name,
                store=self.store,
            )
        return taken.held

    def __repr__(self) -> str:
        return f"<Barrier {self.name} for {self.parties} on {self.store}>"


def barrier(name: str, *, parties: int, **options: Any) -> Barrier:
    """A barrier by name; nothing is sent before `wait`.

    Args:
        name: as for `lock`.
        parties: how many have to come, from 1 to 10,000; all must say the same number.
        **options: using, owner, metadata as for `lock`.

    Raises InvalidName, InvalidArgument, NotSupportedByStore.
    """
    return Barrier(name, parties=parties, **options)
