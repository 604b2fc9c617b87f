"""What a continuation's state sends to Celery; a copy of any of it does no harm."""

from celery import Signature, current_app

from coordination.locks.continuations import rows
from coordination.locks.continuations.tables import Continuation
from coordination.locks.continuations.types import State

RUN = "coordination.lock.run_granted"


def granted(row: Continuation, token: int) -> None:
    """It has the lock: send the message that begins it."""
    if rows.moved(row, State.GRANTED, token=token):
        send(row)


def timed_out(row: Continuation) -> None:
    """Its wait is over: send its `on_timeout`."""
    if rows.moved(row, State.TIMED_OUT):
        send(row)


def send(row: Continuation) -> None:
    """Send what its state asks for."""
    if row.state == State.GRANTED:
        current_app.send_task(RUN, (row.id, row.attempt), ignore_result=True)
    elif row.on_timeout is not None:
        Signature.from_dict(row.on_timeout).apply_async(task_id=f"{row.id}-timeout")
    rows.told(row)
