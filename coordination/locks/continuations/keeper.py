"""Keeps the places of continuations in their queues, and begins them when their turn comes.

Any number of processes may do this: a row is kept by one at a time, and another takes it over when
that one says nothing for a few seconds, which is sooner than the store gives its place away.
"""

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, ParamSpec, TypeVar

from django.db import DatabaseError, InterfaceError, close_old_connections, connections
from django.utils import timezone

from coordination.exceptions import CoordinationError
from coordination.identity import identity
from coordination.locks.asynchronous import in_thread
from coordination.locks.continuations import rows, sending
from coordination.locks.continuations.queueing import STAY_MS
from coordination.locks.continuations.tables import Continuation
from coordination.locks.continuations.types import State
from coordination.locks.store import LockStore
from coordination.locks.stores import lock_store
from coordination.locks.types import Held, Over, Waiting
from coordination.locks.waiting import LOOK_LATER_S, LOOK_S

logger = logging.getLogger(__name__)

TURN_S = 0.5
"""Well below the moment that a claim may take: a lock may be handed to a place at once."""
START_S = 60.0
"""How long a granted one holds its lock while no worker takes its message."""
HOUSEKEEPING_S = 5.0
PRUNE_S = 3_600.0

P = ParamSpec("P")
T = TypeVar("T")


class Keeper:
    """The continuations that this process keeps."""

    def __init__(self) -> None:
        self._name = f"{identity()}:{secrets.token_hex(4)}"
        self._kept: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._housekeeping_due = 0.0
        self._prune_due = 0.0

    def run(self, stop: threading.Event) -> None:
        """Keep until `stop` is set; places are kept for those who come after."""
        asyncio.run(self._run(stop))

    async def _run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                await self._turn()
            except (CoordinationError, DatabaseError, InterfaceError) as error:
                logger.warning("continuations are not kept for now: %s", str(error).strip())
            except Exception:
                # The edge of the process: it records, and goes on.
                logger.exception("continuations are not kept for now")
            await asyncio.to_thread(stop.wait, TURN_S)
        for task in self._kept.values():
            task.cancel()
        await asyncio.gather(*self._kept.values(), return_exceptions=True)
        await _in_database(rows.leave, self._name)
        await _in_database(connections.close_all)

    async def _turn(self) -> None:
        mine = await _in_database(rows.claim, self._name)
        self._kept = {key: task for key, task in self._kept.items() if not task.done()}
        for row in mine:
            key = (row.id, row.attempt)
            if key not in self._kept:
                keep = _keep_granted if row.state == State.GRANTED else _keep_place
                self._kept[key] = asyncio.create_task(_logged(keep, row))
        if time.monotonic() >= self._housekeeping_due:
            self._housekeeping_due = time.monotonic() + HOUSEKEEPING_S
            await _in_database(_send_again)
            await _begin_again()
        if time.monotonic() >= self._prune_due:
            self._prune_due = time.monotonic() + PRUNE_S
            await _in_database(rows.prune)


async def _keep_place(row: Continuation) -> None:
    """Ask again and again, so that its place is kept, until it is granted or its wait ends."""
    store, request = lock_store(row.store), row.request()
    with store.bell(request) as bell:
        while True:
            if _left_s(row) <= 0:
                await _time_out(row, store)
                return
            answer = await in_thread(lambda: store.acquire(request, stay_ms=STAY_MS), store=store)
            if isinstance(answer, Held):
                await _in_database(sending.granted, row, answer.token)
                await _keep_granted(row)
                return
            if isinstance(answer, Over):
                await _in_database(rows.again, row, "its lease ended before it was told")
                return
            await bell.heard(_look_s(answer, row))


async def _keep_granted(row: Continuation) -> None:
    """Renew its lease until a worker begins, or for so long that none will."""
    store, request = lock_store(row.store), row.request()
    granted_at = time.monotonic()
    while await _in_database(_is_granted, row):
        (held,) = await in_thread(lambda: store.renew([request]), store=store)
        if held is None:
            await _in_database(rows.again, row, "its lease ended before a worker came")
            return
        if time.monotonic() - granted_at > START_S:
            why = f"no worker took its message within {START_S:g} s"
            if await _in_database(rows.again, row, why):
                await in_thread(lambda: store.release(request), store=store)
            return
        await asyncio.sleep(min(row.ttl_ms / 3000, 1.0))


def _is_granted(row: Continuation) -> bool:
    found = rows.rows().filter(id=row.id, attempt=row.attempt, state=State.GRANTED)
    return found.exists()


async def _time_out(row: Continuation, store: LockStore) -> None:
    # First out of the queue, if the store can be told: nobody else asks with this id any more.
    said = {"reason": "its wait is over"}
    with suppress(CoordinationError):
        await in_thread(lambda: store.release(row.request(), said=said), store=store)
    await _in_database(sending.timed_out, row)


def _send_again() -> None:
    for row in rows.untold(limit=100):
        try:
            sending.send(row)
        except Exception:
            # What one of them asks for must not stop the others.
            logger.exception("continuation %s was not sent", row.id)


async def _begin_again() -> None:
    """Those whose worker died: their lease ended, and nobody said that they have."""
    silent: set[str] = set()
    for row in await _in_database(rows.running_longer_than_their_lease, limit=100):
        if row.store in silent:
            continue
        store, request = lock_store(row.store), row.request()
        try:
            seen = await in_thread(partial(store.info, request.resource), store=store)
        except CoordinationError:
            silent.add(row.store)
            continue
        if all(each.id != request.id for each in seen.holders):
            await _in_database(rows.again, row, "its worker died, or lost its lease")


def _left_s(row: Continuation) -> float:
    if row.deadline_at is None:
        return float("inf")
    return (row.deadline_at - timezone.now()).total_seconds()


def _look_s(answer: Waiting, row: Continuation) -> float:
    return max(0.0, min(answer.look_again_ms / 1000 + LOOK_LATER_S, LOOK_S, _left_s(row)))


async def _logged(keep: Callable[[Continuation], Any], row: Continuation) -> None:
    try:
        await keep(row)
    except (CoordinationError, DatabaseError, InterfaceError) as error:
        # It is claimed again with the next turn.
        logger.warning("continuation %s is not kept for now: %s", row.id, str(error).strip())
    except Exception:
        logger.exception("continuation %s is not kept for now", row.id)


async def _in_database(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The call in the one thread that has a connection to the database."""

    def fresh() -> T:
        close_old_connections()
        return call(*args, **kwargs)

    return await asyncio.get_running_loop().run_in_executor(_DATABASE, fresh)


_DATABASE = ThreadPoolExecutor(1, thread_name_prefix="concord-continuations")
