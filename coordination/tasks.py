"""Index of Celery tasks, so that `autodiscover_tasks` finds them. No logic."""

from coordination.transactions.tasks import (
    begin,
    cancel,
    finish_branches,
    prepare_branches,
    status,
    vote,
)

__all__ = ["begin", "cancel", "finish_branches", "prepare_branches", "status", "vote"]
