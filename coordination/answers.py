"""How Celery tasks answer: what was done, or the error as data; they raise only on bugs."""

from collections.abc import Callable
from typing import Any

from coordination.exceptions import CoordinationError

# A killed worker's task goes back to the queue. One that raised does not.
DURABLE: dict[str, Any] = {
    "acks_late": True,
    "reject_on_worker_lost": True,
    "acks_on_failure_or_timeout": True,
    "max_retries": 0,
    "serializer": "json",
}


def answered(function: Callable[..., dict[str, Any]], *args: Any, **kwargs: Any) -> dict[str, Any]:
    """What the function returned, or how it was refused."""
    try:
        return {"ok": True, "code": "ok", **function(*args, **kwargs)}
    except CoordinationError as error:
        return refusal(error)


def refusal(error: CoordinationError) -> dict[str, Any]:
    """An error as a task answers it."""
    return {"ok": False, "code": error.code, "applied": error.applied, "message": str(error)}
