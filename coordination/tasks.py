"""Index of Celery tasks, so that `autodiscover_tasks` finds them. No logic."""

from coordination.transactions.tasks import (
    begin,
    cancel,
    finish_branch,
    prepare_branch,
    status,
    vote,
)

__all__ = ["begin", "cancel", "finish_branch", "prepare_branch", "status", "vote"]
