"""Celery tasks of transactions, by stable names. JSON in, JSON out; each is safe to run twice."""

from typing import Any

from celery import shared_task

from coordination import conf
from coordination.exceptions import CoordinationError, InvalidArgument
from coordination.transactions import remote, requests, worker

# A killed worker's task goes back to the queue. One that raised does not: the sweeper asks again.
DURABLE: dict[str, Any] = {
    "acks_late": True,
    "reject_on_worker_lost": True,
    "acks_on_failure_or_timeout": True,
    "max_retries": 0,
    "serializer": "json",
}


@shared_task(name="coordination.branch.prepare", ignore_result=True, **DURABLE)
def prepare_branches(gid: str, seqs: list[int], brief: dict[str, Any] | None = None) -> str:
    """Run branches of one transaction and vote."""
    return worker.prepare(gid, seqs, brief)


@shared_task(name="coordination.branch.finish", ignore_result=True, **DURABLE)
def finish_branches(gid: str, seqs: list[int], brief: dict[str, Any] | None = None) -> str:
    """End branches of one transaction as decided."""
    return worker.finish(gid, seqs, brief)


@shared_task(name="coordination.transaction.begin", bind=True, ignore_result=False, **DURABLE)
def begin(self: Any, name: str, branches: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    """Begin a transaction: `branches` is [{"participant", "args"}].

    Options: protocol, deadline, key, op_id (default: the task id; the same one begins once), then
    (a signature as dict, its task allowed by CONTINUATIONS).
    """
    options.setdefault("op_id", self.request.id)
    return _answer(requests.begin, name, branches, **options)


@shared_task(name="coordination.transaction.status", ignore_result=False, **DURABLE)
def status(gid: str) -> dict[str, Any]:
    """How a transaction stands."""
    return _answer(requests.status, gid)


@shared_task(name="coordination.transaction.cancel", ignore_result=False, **DURABLE)
def cancel(gid: str, reason: str = "cancelled by a task") -> dict[str, Any]:
    """Abort a transaction unless it is decided."""
    return _answer(requests.cancel, gid, reason)


@shared_task(name="coordination.transaction.vote", ignore_result=True, **DURABLE)
def vote(gid: str, seq: int, kind: str, facts: dict[str, Any]) -> dict[str, Any]:
    """A vote or a result from a node whose workers cannot reach our tables."""
    if not conf.current().transactions.remote_votes:
        # Not signed, so any sender on the broker could commit a transaction.
        return refusal(InvalidArgument("REMOTE_VOTES is off in COORDINATION['TRANSACTIONS']."))
    return _answer(remote.receive, gid, seq, kind, facts)


def _answer(function: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    try:
        return {"ok": True, "code": "ok", **function(*args, **kwargs)}
    except CoordinationError as error:
        return refusal(error)


def refusal(error: CoordinationError) -> dict[str, Any]:
    """An error as a task answers it."""
    return {"ok": False, "code": error.code, "applied": error.applied, "message": str(error)}
