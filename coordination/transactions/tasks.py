"""Celery tasks of transactions, by stable names. JSON in, JSON out; each is safe to run twice."""

from collections.abc import Sequence
from typing import Any

from celery import shared_task

from coordination.answers import DURABLE, answered
from coordination.transactions import remote, requests, worker
from coordination.transactions.dispatch import TASKS, VOTE_TASK
from coordination.transactions.types import Phase


@shared_task(name=TASKS[Phase.PREPARE], ignore_result=True, **DURABLE)
def prepare_branches(
    gid: str = "", seqs: Sequence[int] = (), sealed: dict[str, str] | None = None
) -> str:
    """Run branches of one transaction and vote; `sealed` is a peer's message, instead of both."""
    if sealed is not None:
        return worker.asked(Phase.PREPARE, sealed)
    return worker.prepare(gid, seqs)


@shared_task(name=TASKS[Phase.PRECOMMIT], ignore_result=True, **DURABLE)
def precommit_branches(
    gid: str = "", seqs: Sequence[int] = (), sealed: dict[str, str] | None = None
) -> str:
    """Note for branches that every vote is yes; `sealed` is a peer's message, instead of both."""
    if sealed is not None:
        return worker.asked(Phase.PRECOMMIT, sealed)
    return worker.precommit_branches(gid, seqs)


@shared_task(name=TASKS[Phase.FINISH], ignore_result=True, **DURABLE)
def finish_branches(
    gid: str = "", seqs: Sequence[int] = (), sealed: dict[str, str] | None = None
) -> str:
    """End branches of one transaction as decided; `sealed` is a peer's message, instead of both."""
    if sealed is not None:
        return worker.asked(Phase.FINISH, sealed)
    return worker.finish(gid, seqs)


@shared_task(name="coordination.transaction.begin", bind=True, ignore_result=False, **DURABLE)
def begin(self: Any, name: str, branches: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    """Begin a transaction: `branches` is [{"participant", "args"}].

    In a saga each may have "after", the numbers of branches that it comes after, and "pivot".

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


@shared_task(name=VOTE_TASK, ignore_result=True, **DURABLE)
def vote(sealed: dict[str, str]) -> dict[str, Any]:
    """A vote or a result of a branch of a peer, whose workers cannot reach our tables."""
    return answered(remote.receive, sealed)
