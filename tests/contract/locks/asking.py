"""Asking for locks below the public API, and waiting for what becomes of it."""

import secrets
import threading
from collections.abc import Callable

from coordination.locks.grant import Grant
from coordination.locks.store import LockStore
from coordination.locks.types import Held, Kind, LockInfo, Mode, Request, Resource
from tests.stack import wait_until

STAY_MS = 5_000


def asked(name: str, *, ttl_ms: int = 5_000, mode: Mode = Mode.EXCLUSIVE) -> Request:
    call = secrets.token_hex(8)
    return Request(
        resource=Resource(Kind.LOCK, name),
        id=call,
        mode=mode,
        ttl_ms=ttl_ms,
        owner=f"owner-{call}",
        context="test",
        metadata="{}",
        kept_ms=10_000,
    )


def held(grant: Grant | None) -> Grant:
    assert grant is not None
    return grant


def have(answer: object) -> Held:
    assert isinstance(answer, Held)
    return answer


def seen(store: LockStore, name: str) -> LockInfo:
    return store.info(Resource(Kind.LOCK, name))


def until(what: Callable[[], bool], *, within_s: float = 5) -> float:
    """Seconds until it holds."""
    return wait_until("what a test waits for", what, within_s=within_s, pause_s=0.005)


def pass_time(seconds: float) -> None:
    """Let a lease end: the store's clock cannot be moved."""
    threading.Event().wait(seconds)
