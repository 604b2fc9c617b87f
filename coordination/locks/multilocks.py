"""`multilock`: several locks together, taken in the order of their names so that none deadlocks."""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Any

from coordination.exceptions import CoordinationError, InvalidArgument, LockTimeout, NotOwner
from coordination.locks import asynchronous
from coordination.locks.api import Lock
from coordination.locks.grant import Grant
from coordination.locks.leaving import give_back, leave
from coordination.locks.options import DEFAULT, options_of, resource_of, seconds
from coordination.locks.types import Kind


class MultiGrant:
    """Several locks that are held together."""

    def __init__(self, grants: tuple[Grant, ...]) -> None:
        self.grants = grants
        """In the order of their names."""

    @property
    def tokens(self) -> Mapping[str, int]:
        """The token of each, by its name."""
        return MappingProxyType({grant.name: grant.token for grant in self.grants})

    @property
    def lost(self) -> str | None:
        """Why the first of them is held no more, or None. Asks nobody."""
        return next((grant.lost for grant in self.grants if grant.lost is not None), None)

    def ensure_held(self) -> None:
        """Raise LockLost unless this process may still rely on all of them."""
        for grant in self.grants:
            grant.ensure_held()

    def renew(self) -> None:
        """Let all leases begin anew. Raises as `Grant.renew`, for the first that fails."""
        for grant in self.grants:
            grant.renew()

    def release(self) -> None:
        """Give all back, last taken first. Raises as `Grant.release`, once all were tried."""
        first: CoordinationError | None = None
        for grant in reversed(self.grants):
            try:
                grant.release()
            except CoordinationError as error:
                first = first or error
        if first is not None:
            raise first

    async def arelease(self) -> None:
        """As `release`."""
        first: CoordinationError | None = None
        for grant in reversed(self.grants):
            try:
                await grant.arelease()
            except CoordinationError as error:
                first = first or error
        if first is not None:
            raise first

    def __repr__(self) -> str:
        return f"<MultiGrant {', '.join(grant.name for grant in self.grants)}>"


class MultiLock:
    """Locks by their names; all or none are held."""

    def __init__(self, names: tuple[str, ...], options: Mapping[str, Any]) -> None:
        resources = [resource_of(Kind.LOCK, name) for name in names]
        if not resources:
            raise InvalidArgument("multilock needs at least one name.")
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise InvalidArgument(f"multilock was given {min(twice)!r} more than once.")
        in_order = sorted(resources, key=lambda each: each.name)
        checked = [(each, options_of(each, options)) for each in in_order]
        self._wait_s = checked[0][1].wait_s
        self._locks = [Lock(resource, chosen) for resource, chosen in checked]
        self._grant: MultiGrant | None = None

    def acquire(self, wait: Any = DEFAULT) -> MultiGrant | None:
        """Have all of them, or None when one is still busy after `wait` seconds in all."""
        until = _until(seconds(wait, default=self._wait_s))
        grants: list[Grant] = []
        try:
            for lock in self._locks:
                grant, lock.grant = lock.acquire(wait=_left(until)), None
                if grant is None:
                    self._give_up(grants)
                    return None
                grants.append(grant)
        except BaseException:
            self._give_up(grants)
            raise
        return MultiGrant(tuple(grants))

    async def aacquire(self, wait: Any = DEFAULT) -> MultiGrant | None:
        """As `acquire`."""
        until = _until(seconds(wait, default=self._wait_s))
        grants: list[Grant] = []
        try:
            for lock in self._locks:
                grant, lock.grant = await lock.aacquire(wait=_left(until)), None
                if grant is None:
                    await _agive_up(grants)
                    return None
                grants.append(grant)
        except BaseException:
            await asyncio.shield(_agive_up(grants))
            raise
        return MultiGrant(tuple(grants))

    def __enter__(self) -> MultiGrant:
        self._grant = self._entered(self.acquire())
        return self._grant

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        first: CoordinationError | None = None
        for grant in reversed(self._left_with().grants):
            try:
                leave(grant)
            except CoordinationError as lost:
                first = first or lost
        if first is not None and kind is None:
            raise first

    async def __aenter__(self) -> MultiGrant:
        self._grant = self._entered(await self.aacquire())
        return self._grant

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await asyncio.shield(_aleave(self._left_with()))
        except CoordinationError:
            if kind is None:
                raise

    def _left_with(self) -> MultiGrant:
        grant, self._grant = self._grant, None
        if grant is None:
            raise NotOwner("This multilock is not held by this object.")
        return grant

    def _entered(self, grant: MultiGrant | None) -> MultiGrant:
        if grant is None:
            names = ", ".join(lock.name for lock in self._locks)
            raise LockTimeout(f"One of the locks {names} was busy after {self._wait_s or 0:g} s.")
        return grant

    @staticmethod
    def _give_up(grants: list[Grant]) -> None:
        for grant in reversed(grants):
            with suppress(CoordinationError):  # its lease ends by itself
                grant.release()


async def _aleave(held: MultiGrant) -> None:
    """Give all back. Raises LockLost for the first that was lost, once all were tried."""
    first: CoordinationError | None = None
    for grant in reversed(held.grants):
        try:
            await asynchronous.in_thread(partial(give_back, grant), store=grant._store)
        except CoordinationError as error:
            first = first or error
    if first is not None:
        raise first


async def _agive_up(grants: list[Grant]) -> None:
    for grant in reversed(grants):
        with suppress(CoordinationError):
            await grant.arelease()


def _until(wait_s: float | None) -> float | None:
    return None if wait_s is None else time.monotonic() + wait_s


def _left(until: float | None) -> float | None:
    return None if until is None else max(0.0, until - time.monotonic())


def multilock(*names: str, **options: Any) -> MultiLock:
    """Several locks together, taken in the order of their names; nothing is sent before `acquire`.

    Args:
        *names: as for `lock`, each once; they may live on different stores.
        **options: as for `lock`; `wait` is for all of them together.

    Raises InvalidName, InvalidArgument, NotSupportedByStore.
    """
    return MultiLock(names, options)
