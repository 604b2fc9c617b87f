"""The project's settings with the bench's own participants, naive tasks and stores installed."""

import os

from config.settings import *  # noqa: F403
from config.settings import _REDIS_SERVER, COORDINATION, DATABASES, INSTALLED_APPS, NODE

INSTALLED_APPS = [*INSTALLED_APPS, "bench"]
# `bench.worker.*` runs in workers, every other participant of the bench in its caller.
COORDINATION = COORDINATION | {"PARTICIPANTS": [("bench.worker.*", NODE)]}
# For the naive version alone: Concord's tasks store no results.
CELERY_RESULT_BACKEND = f"{_REDIS_SERVER}/3"
# A file that only locks are kept beside; nothing is migrated into it.
if BENCH_FOLDER := os.environ.get("BENCH_FOLDER"):
    DATABASES["bench_sqlite"] = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{BENCH_FOLDER}/bench.sqlite3",
    }
    COORDINATION["STORES"]["sqlite"] = {"BACKEND": "database", "USING": "bench_sqlite"}
