"""The project's settings with the bench's own participants, naive tasks and stores installed."""

import os

from config.settings import *  # noqa: F403
from config.settings import _REDIS_SERVER, COORDINATION, DATABASES, INSTALLED_APPS, NODE

INSTALLED_APPS = [*INSTALLED_APPS, "bench"]
# `bench.worker.*` runs in workers, every other participant of the bench in its caller.
COORDINATION = COORDINATION | {"PARTICIPANTS": [("bench.worker.*", NODE)]}
# For the naive version alone: Concord's tasks store no results.
CELERY_RESULT_BACKEND = f"{_REDIS_SERVER}/3"
# Only for what is kept in SQLite.
if BENCH_FOLDER := os.environ.get("BENCH_FOLDER"):
    DATABASES["bench_sqlite"] = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{BENCH_FOLDER}/bench.sqlite3",
    }
    COORDINATION["STORES"]["sqlite"] = {"BACKEND": "database", "USING": "bench_sqlite"}
if URLS := os.environ.get("BENCH_ACCEPTORS"):
    ACCEPTORS = {f"acceptor_{number}": url for number, url in enumerate(URLS.split(","), start=1)}
    for alias, url in ACCEPTORS.items():
        COORDINATION["STORES"][alias] = {"BACKEND": "redis", "LOCATION": url}
    COORDINATION["CONSENSUS"] = {"ACCEPTORS": list(ACCEPTORS)}
if LOCATION := os.environ.get("RABBITMQ_URL"):
    COORDINATION["STORES"]["rabbitmq"] = {"BACKEND": "rabbitmq", "LOCATION": LOCATION}
