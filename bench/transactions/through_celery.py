"""Concord with its participants in Celery workers. An agent's module."""

from functools import partial

from bench.chunks import Case
from bench.crew import Crew
from bench.rows import turns
from bench.transactions.calls import Concord
from bench.transactions.names import CELERY_1, CELERY_32
from bench.transactions.settling import unended, wait_for_none


def cases() -> list[Case]:
    """One and 32 callers, each waiting for its decision."""
    settle = partial(wait_for_none, unended)
    return [
        Crew(CELERY_1, _make, chunk_s=0.4, settle=settle),
        Crew(CELERY_32, _make, threads=32, chunk_s=1.0, settle=settle),
    ]


def _make(part: int, parts: int) -> Concord:
    return Concord(("bench.worker.a", "bench.worker.b"), turns(part, parts))
