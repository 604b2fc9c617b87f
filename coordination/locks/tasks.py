"""Celery tasks of locks, by stable names. JSON in, JSON out; each is safe to run twice."""

from typing import Any

from celery import shared_task

from coordination.answers import DURABLE, answered
from coordination.locks import requests
from coordination.locks.continuations import running
from coordination.locks.continuations.sending import RUN


@shared_task(name="coordination.lock.acquire", bind=True, ignore_result=False, **DURABLE)
def acquire(self: Any, name: str, **options: Any) -> dict[str, Any]:
    """Try to take a lock; the lease is not renewed.

    Options: ttl, shared, using, owner, metadata; op_id (default: the task id; the same one takes it
    once). With `then` (a signature as dict, its task allowed by CONTINUATIONS) the task waits in
    the queue, without a worker, for `wait` seconds; then `then` is sent with the token in its
    header `concord_token`, or `on_timeout` when the wait is over.
    """
    options.setdefault("op_id", self.request.id)
    return answered(requests.acquire, name, **options)


@shared_task(name="coordination.lock.release", ignore_result=False, **DURABLE)
def release(name: str, **options: Any) -> dict[str, Any]:
    """Give back the `grant` that acquire answered. Options: using."""
    return answered(requests.release, name, **options)


@shared_task(name="coordination.lock.renew", ignore_result=False, **DURABLE)
def renew(name: str, **options: Any) -> dict[str, Any]:
    """Let the lease of the `grant` that acquire answered begin anew. Options: ttl, using."""
    return answered(requests.renew, name, **options)


@shared_task(name="coordination.lock.info", ignore_result=False, **DURABLE)
def info(name: str, **options: Any) -> dict[str, Any]:
    """Who holds a lock, and who waits in order. Options: using."""
    return answered(requests.info, name, **options)


@shared_task(name="coordination.lock.force_release", ignore_result=False, **DURABLE)
def force_release(name: str, **options: Any) -> dict[str, Any]:
    """Take a lock away from whoever holds it: reason, actor. Options: using."""
    return answered(requests.force_release, name, **options)


@shared_task(name="coordination.lock.run_locked", bind=True, ignore_result=False, **DURABLE)
def run_locked(self: Any, name: str, signature: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Run a task while it holds a lock; no worker waits for it.

    Options: wait, on_timeout, ttl, shared, using, owner, metadata; op_id (default: the task id).
    The worker that runs it renews the lease and gives the lock back after it; the token is in the
    task's header `concord_token`.
    """
    options.setdefault("op_id", self.request.id)
    return answered(requests.run_locked, name, signature, **options)


@shared_task(name=RUN, ignore_result=True, **DURABLE)
def run_granted(continuation: str, attempt: int) -> str:
    """Begin a continuation that was granted its lock; a copy of this message does nothing."""
    return running.run(continuation, attempt)
