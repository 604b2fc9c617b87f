"""What a worker does with a granted continuation: begin it once, and give the lock back after."""

import logging
import time
from typing import Any

from celery import Signature, current_app

from coordination.exceptions import CoordinationError
from coordination.locks.continuations import rows
from coordination.locks.continuations.tables import Continuation
from coordination.locks.continuations.types import Form, State
from coordination.locks.grant import Grant
from coordination.locks.leaving import give_back
from coordination.locks.renewal import process_renewals
from coordination.locks.stores import lock_store
from coordination.locks.taken import Taken

logger = logging.getLogger(__name__)

TOKEN_HEADER = "concord_token"  # noqa: S105
"""Where the task finds its fencing token: `self.request.headers`."""


def run(id_: str, attempt: int) -> str:
    """Begin it unless another copy of the message has; tells what became of it.

    Raises what the task raises.
    """
    row = rows.rows().filter(id=id_, attempt=attempt, state=State.GRANTED).first()
    if row is None:
        return "begun before"
    try:
        grant = _renewed(row)
    except CoordinationError as error:
        logger.warning("continuation %s begins later: %s", id_, error)
        rows.untell(row)
        return "later"
    if grant is None:
        rows.again(row, "its lease ended before a worker came")
        return "lost"
    if not rows.moved(row, State.RUNNING):
        process_renewals.forget(grant)
        return "begun before"
    if row.form == Form.THEN:
        return _send_on(row, grant)
    return _run_here(row, grant)


def _renewed(row: Continuation) -> Grant | None:
    """The grant it has, with its lease begun anew; None when it has none any more."""
    store, request = lock_store(row.store), row.request()
    sent_at = time.monotonic()
    (held,) = store.renew([request])
    if isinstance(held, CoordinationError):
        raise held
    if held is None:
        return None
    grant = Grant(
        request,
        Taken(held, sent_at),
        store=store,
        waited=0.0,
        max_hold_ms=None,
        renewals=process_renewals,
    )
    process_renewals.watch(grant)
    return grant


def _send_on(row: Continuation, grant: Grant) -> str:
    process_renewals.forget(grant)
    headers: Any = {TOKEN_HEADER: grant.token, "concord_grant": grant.request.id}
    Signature.from_dict(row.signature).apply_async(task_id=row.id, headers=headers)
    rows.moved(row, State.DONE, told=True)
    return "sent"


def _run_here(row: Continuation, grant: Grant) -> str:
    signature = Signature.from_dict(row.signature)
    try:
        _call(signature, row, grant)
    except BaseException as error:
        rows.moved(row, State.FAILED, error=f"{type(error).__name__}: {error}"[:500])
        raise
    else:
        rows.moved(row, State.DONE, told=True)
    finally:
        # After its end is recorded: who finds it running while nobody holds its lock begins it
        # again.
        _give_back(grant)
    return "done"


def _call(signature: "Signature[Any]", row: Continuation, grant: Grant) -> None:
    task: Any = current_app.tasks[str(signature.task)]
    args, kwargs = list(signature.args or ()), dict(signature.kwargs or {})
    task.push_request(
        id=row.id,
        args=args,
        kwargs=kwargs,
        headers={TOKEN_HEADER: grant.token},
        called_directly=False,
        retries=0,
    )
    try:
        task.run(*args, **kwargs)
    finally:
        task.pop_request()


def _give_back(grant: Grant) -> None:
    try:
        give_back(grant)
    except CoordinationError as error:
        logger.warning("%r after its task: %s", grant, error)
