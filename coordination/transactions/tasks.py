"""Celery tasks of transactions, by stable names. JSON in, JSON out; each is safe to run twice."""

from typing import Any

from celery import shared_task

from coordination import conf
from coordination.answers import DURABLE, answered, refusal
from coordination.exceptions import InvalidArgument
from coordination.transactions import remote, requests, worker


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
    return answered(requests.begin, name, branches, **options)


@shared_task(name="coordination.transaction.status", ignore_result=False, **DURABLE)
def status(gid: str) -> dict[str, Any]:
    """How a transaction stands."""
    return answered(requests.status, gid)


@shared_task(name="coordination.transaction.cancel", ignore_result=False, **DURABLE)
def cancel(gid: str, reason: str = "cancelled by a task") -> dict[str, Any]:
    """Abort a transaction unless it is decided."""
    return answered(requests.cancel, gid, reason)


@shared_task(name="coordination.transaction.vote", ignore_result=True, **DURABLE)
def vote(gid: str, seq: int, kind: str, facts: dict[str, Any]) -> dict[str, Any]:
    """A vote or a result from a node whose workers cannot reach our tables."""
    if not conf.current().transactions.remote_votes:
        # Not signed, so any sender on the broker could commit a transaction.
        return refusal(InvalidArgument("REMOTE_VOTES is off in COORDINATION['TRANSACTIONS']."))
    return answered(remote.receive, gid, seq, kind, facts)
