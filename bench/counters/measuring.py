"""Runs the cases of counters: alone, and many at once."""

import os
from contextlib import ExitStack

from django.db import connections

from bench.agents import Agent
from bench.counters import names
from bench.counters.goals import goals
from bench.counters.rush import Turn
from bench.counters.tables import Contended, Free
from bench.counters.ways import groups
from bench.ground import ground, migrate_sqlite
from bench.measured import measured
from bench.report import Report
from bench.surroundings import surroundings

NOTES = """
Redis logs writes each second for everybody, PostgreSQL and ZooKeeper flush each commit; SQLite is
as Django opens it. One server each on this machine. Each call adds 1 to one counter; with 64, a
round trip does so 64 times, and figures are of one of these. "x INCR" is the median over the cycles
of the time of an INCR by redis-py over this one's, q1 and q3 the quartiles; cases take turns in
random order. Concord's calls are made once even if a reply is lost, have bounds, a version and an
event; a peer's are not. CAS: the value is read and written by compare-and-set, again until it is.
Contended: 8 processes count with one counter as fast as they can. violated: by how much the counter
was off the number of calls, after each turn. CPU is the calling processes', for each addition.
"""
PACKAGES = ("redis", "hiredis", "kazoo", "Django", "psycopg")


def measure(*, seconds: float, broker: str) -> Report:
    """Start servers and processes, and measure two tables in them.

    Args:
        seconds: how long each table is measured for.
        broker: is not used here.
    """
    with ground(broker, optional=("zookeeper",)):
        migrate_sqlite()
        _create_rows()
        load = os.getloadavg()[0]
        failures: list[str] = []
        free = _free(seconds, failures)
        contended = _contended(seconds, failures)
        return Report(
            notes=" ".join(NOTES.split()),
            surroundings=surroundings(PACKAGES),
            tables=(free, contended),
            goals=goals(free, contended),
            failures=failures,
            load=(load, os.getloadavg()[0]),
        )


def _free(seconds: float, failures: list[str]) -> Free:
    with ExitStack() as stack:
        agents = [stack.enter_context(Agent("bench.counters.free", group)) for group in groups()]
        found = measured("free counters", agents, seconds, failures)
    return Free(title="free, 1 process", base=names.INCR, series=found.series)


def _contended(seconds: float, failures: list[str]) -> Contended:
    with Agent("bench.counters.rush", chunk=Turn) as agent:
        found = measured("contended counters", [agent], seconds, failures)
    return Contended(title="contended, 8 processes", base=names.INCR, series=found.series)


def _create_rows() -> None:
    from bench.counters.peers import Row

    for using in ("default", "bench_sqlite"):
        with connections[using].schema_editor() as editor:
            editor.create_model(Row)
