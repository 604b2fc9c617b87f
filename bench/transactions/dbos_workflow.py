"""The same work as a durable workflow of DBOS: one step a database. An agent's module.

A workflow is not atomic: between its steps others see one half. It is here for what durable
orchestration costs.
"""

import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from urllib.parse import urlsplit

import psycopg
from dbos import DBOS, DBOSConfig

from bench.chunks import Case
from bench.crew import Crew
from bench.rows import UPDATE, turns
from bench.transactions.names import DBOS_1, DBOS_32

SYSTEM_DATABASE = "bench_dbos"

_own = threading.local()


@DBOS.step()
def update_a(row: int) -> None:
    """The first half, committed by itself."""
    _update("BANK_A_URL", row)


@DBOS.step()
def update_b(row: int) -> None:
    """The second half."""
    _update("BANK_B_URL", row)


@DBOS.workflow()
def transfer(row: int) -> None:
    """Both, each at least once."""
    update_a(row)
    update_b(row)


def _update(variable: str, row: int) -> None:
    connections: dict[str, psycopg.Connection] = _own.__dict__
    if variable not in connections:
        connections[variable] = psycopg.connect(os.environ[variable], autocommit=True)
    connections[variable].execute(UPDATE, (row,))


def cases() -> list[Case]:
    """One and 32 callers; DBOS keeps its tables in a database of its own in the same cluster."""
    url = urlsplit(os.environ["DATABASE_URL"])._replace(scheme="postgresql")
    config = DBOSConfig(
        name="bench",
        system_database_url=url._replace(path=f"/{SYSTEM_DATABASE}").geturl(),
        log_level="ERROR",
    )
    DBOS(config=config)
    DBOS.launch()
    return [
        Crew(DBOS_1, _make, chunk_s=0.3),
        Crew(DBOS_32, _make, threads=32, chunk_s=1.0),
    ]


def _make(part: int, parts: int) -> Callable[[], None]:
    return partial(_transfer, turns(part, parts))


def _transfer(rows: Iterator[int]) -> None:
    transfer(next(rows))
