"""Where a call for a lock comes from: the unit of work that would wait, whatever it calls itself.

Owners are names that users may share between calls; a context is one line of execution, so it is
what waits for another in a deadlock.
"""

import asyncio
import threading
from typing import Any

from celery import current_task

from coordination.identity import identity


def current() -> str:
    """The Celery task, asyncio task or thread that runs now."""
    task: Any = current_task
    if task and not task.request.called_directly:
        return f"task:{task.request.id}"
    try:
        running = asyncio.current_task()
    except RuntimeError:
        running = None
    if running is not None:
        return f"async:{identity()}:{running.get_name()}"
    return f"thread:{identity()}:{threading.get_native_id()}"
