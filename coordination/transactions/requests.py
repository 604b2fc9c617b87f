"""What other apps may ask by Celery task, in JSON."""

from fnmatch import fnmatchcase
from typing import Any

from celery import Signature

from coordination import conf
from coordination.exceptions import InvalidArgument
from coordination.kernel.gids import is_gid
from coordination.transactions import runner
from coordination.transactions.api import distributed_transaction
from coordination.transactions.coordinator import store
from coordination.transactions.types import Outcome, Standing


def begin(
    name: str,
    branches: list[dict[str, Any]],
    *,
    op_id: str,
    key: str | None = None,
    then: dict[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Begin a transaction once for `key`, or else for `op_id`. Raises CoordinationError."""
    transaction = distributed_transaction(
        name, key=key or f"op:{op_id}", wait=False, then=_allowed(then), **options
    )
    if not isinstance(branches, list):
        raise InvalidArgument(f"branches must be a list, not {type(branches).__name__}.")
    for branch in branches:
        if not isinstance(branch, dict) or set(branch) - {"participant", "args"}:
            raise InvalidArgument(f'a branch is {{"participant", "args"}}, not {branch!r:.200}.')
        transaction.enlist(branch.get("participant", ""), **branch.get("args", {}))
    return {"gid": transaction.submit()}


def status(gid: str) -> dict[str, Any]:
    """How a transaction stands. Raises InvalidArgument when it is not known here."""
    return _told(gid, _known(gid, store().standing(gid)))


def cancel(gid: str, reason: str) -> dict[str, Any]:
    """Abort a transaction unless it is decided; tells how it stands then."""
    standing = runner.decide(gid, Outcome.ABORTED, reason=reason) if is_gid(gid) else None
    if standing is not None and standing.decided_now:
        runner.advance(gid)
    return _told(gid, _known(gid, standing))


def _allowed(then: dict[str, Any] | None) -> "Signature[Any] | None":
    if then is None:
        return None
    task = then.get("task") if isinstance(then, dict) else None
    allowed = conf.current().continuations
    if not isinstance(task, str) or not any(fnmatchcase(task, pattern) for pattern in allowed):
        raise InvalidArgument(
            f"then names task {task!r:.100}, which COORDINATION['CONTINUATIONS'] does not allow."
        )
    return Signature.from_dict(then)


def _known(gid: str, standing: Standing | None) -> Standing:
    if standing is None:
        raise InvalidArgument(f"no transaction {gid!r:.80} is known: never begun, or forgotten.")
    return standing


def _told(gid: str, standing: Standing) -> dict[str, Any]:
    return {
        "gid": gid,
        "outcome": standing.outcome,
        "reason": standing.reason,
        "applied": standing.ended,
        "unfinished": standing.unfinished,
    }
