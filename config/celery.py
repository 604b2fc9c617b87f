"""The Celery application of this project.

Workers are started with ``celery --app config worker --queues ...``.
"""

import os
from typing import Any

from celery import Celery
from celery.signals import setup_logging, task_prerun

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("concord")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_django_logging(**kwargs: Any) -> None:
    """Let Django's LOGGING stand: connecting this signal stops Celery from replacing it."""


@task_prerun.connect
def drop_broken_connections(**kwargs: Any) -> None:
    """Close database connections that failed in the task before.

    CELERY_DB_REUSE_MAX keeps connections open between tasks; without this, a worker would hold on
    to the connections a restarted PostgreSQL has dropped. Connections in order cost nothing.
    """
    from django.db import close_old_connections

    close_old_connections()
