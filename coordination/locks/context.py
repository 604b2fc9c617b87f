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
    proxy: Any = current_task
    task = proxy._get_current_object()
    if task is not None and not task.request.called_directly:
        return f"task:{task.request.id}"
    if asyncio._get_running_loop() is not None and (running := asyncio.current_task()) is not None:
        return f"async:{identity()}:{running.get_name()}"
    return f"thread:{identity()}:{threading.get_native_id()}"
