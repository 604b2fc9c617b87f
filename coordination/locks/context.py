"""Where a call for a lock comes from: the unit of work that would wait, whatever it calls itself.

Owners are names that users may share between calls; a context is one line of execution, so it is
what waits for another in a deadlock.
"""

import asyncio
import threading
from contextvars import ContextVar
from typing import Any

from celery.signals import task_postrun, task_prerun

from coordination.identity import identity

_tasks: ContextVar[tuple[str, ...]] = ContextVar("coordination_tasks", default=())
"""Celery tasks that run here, one inside the other.

Celery's own `current_task` takes longer than all the rest of asking for a lock where there is none.
"""


def current() -> str:
    """The Celery task, asyncio task or thread that runs now."""
    if tasks := _tasks.get():
        return f"task:{tasks[-1]}"
    if asyncio._get_running_loop() is not None and (running := asyncio.current_task()) is not None:
        return f"async:{identity()}:{running.get_name()}"
    return f"thread:{identity()}:{threading.get_native_id()}"


@task_prerun.connect(dispatch_uid="coordination.locks.context")
def _begins(task_id: str = "", **_: Any) -> None:
    _tasks.set((*_tasks.get(), task_id))


@task_postrun.connect(dispatch_uid="coordination.locks.context")
def _ends(**_: Any) -> None:
    _tasks.set(_tasks.get()[:-1])
