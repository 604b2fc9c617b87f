"""The naive version's Celery tasks: two-phase commit by hand, results in Redis."""

from typing import Any

from celery import shared_task
from django.db import connections

from bench.rows import UPDATE
from config.settings import NODE

PREPARE, FINISH = f"{NODE}.prepare", f"{NODE}.finish"


@shared_task(name="bench.naive.prepare", queue=PREPARE, ignore_result=False)
def prepare(using: str, gid: str, row: int) -> bool:
    """Do the work and prepare it."""
    with connections[using].cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(UPDATE, (row,))
        cursor.execute(f"PREPARE TRANSACTION '{gid}'")
    return True


@shared_task(name="bench.naive.commit", queue=FINISH, ignore_result=False)
def commit(using: str, gid: str) -> bool:
    """Commit what was prepared."""
    with connections[using].cursor() as cursor:
        cursor.execute(f"COMMIT PREPARED '{gid}'")
    return True


@shared_task(name="bench.naive.all", queue=FINISH, ignore_result=False)
def every(answers: list[Any]) -> bool:
    """The body of the chords: whether all said yes."""
    return all(answers)
