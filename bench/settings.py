"""The project's settings with the bench's own participants and naive tasks installed."""

from config.settings import *  # noqa: F403
from config.settings import _REDIS_SERVER, COORDINATION, INSTALLED_APPS, NODE

INSTALLED_APPS = [*INSTALLED_APPS, "bench"]
# `bench.worker.*` runs in workers, every other participant of the bench in its caller.
COORDINATION = COORDINATION | {"PARTICIPANTS": [("bench.worker.*", NODE)]}
# For the naive version alone: Concord's tasks store no results.
CELERY_RESULT_BACKEND = f"{_REDIS_SERVER}/3"
