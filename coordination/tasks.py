"""Index of Celery tasks, so that `autodiscover_tasks` finds them. No logic."""

from coordination.counters.tasks import counter_add, counter_compare_and_set, counter_get
from coordination.locks.tasks import (
    acquire,
    force_release,
    info,
    release,
    renew,
    run_granted,
    run_locked,
)
from coordination.queues.tasks import ack, nack, publish, reserve
from coordination.transactions.tasks import (
    begin,
    cancel,
    finish_branches,
    prepare_branches,
    status,
    vote,
)

__all__ = [
    "ack",
    "acquire",
    "begin",
    "cancel",
    "counter_add",
    "counter_compare_and_set",
    "counter_get",
    "finish_branches",
    "force_release",
    "info",
    "nack",
    "prepare_branches",
    "publish",
    "release",
    "renew",
    "reserve",
    "run_granted",
    "run_locked",
    "status",
    "vote",
]
