"""Runs the cases of locks: free ones, contended ones, and the tasks of an event loop."""

import os
from contextlib import ExitStack

from bench.agents import Agent
from bench.ground import ground
from bench.locks import names
from bench.locks.contest import Contest
from bench.locks.goals import goals
from bench.locks.tables import Contended, Pairs, Waiters
from bench.locks.ways import groups
from bench.measured import measured
from bench.report import Report

NOTES = """
Redis logs writes each second, PostgreSQL and ZooKeeper flush each commit, one server each on this
machine. Free: one process takes a lock of its own and gives it back; every way has a lease of 30 s
and checks the owner, but for the sessions of django-pglock, kazoo and tooz on ZooKeeper. Concord's
also records both events. "x pair" is the median over the cycles of the time of a pair of EVALSHA
through redis-py (SET NX PX, compare and delete) over this one's; cases take turns in random order.
Contended: 8 processes want one lock, hold it for 1 ms and ask again at once; each figure is the
median over the cycles, and waits count those who still waited at the end. The pair tries again each
ms. hand-off: from just before one gives it back until the next one has it. same: share that went to
the one who had it just now. violated: how often somebody was inside already. Peers that poll sleep
as long as their documentation has it by default, redis-py's also 1 ms. Waiters: 100 tasks of one
event loop want one lock once, for 1 ms each. CPU is the calling processes', for each grant.
"""


def measure(*, seconds: float, broker: str) -> Report:
    """Start servers and processes, and measure three tables in them.

    Args:
        seconds: how long each table is measured for, the last one half as long.
        broker: is not used here.
    """
    with ground(broker, optional=("zookeeper",)):
        load = os.getloadavg()[0]
        failures: list[str] = []
        free = _free(seconds, failures)
        contended = _contended(seconds, failures)
        waiters = _waiters(seconds / 2, failures)
        return Report(
            notes=" ".join(NOTES.split()),
            tables=(free, contended, waiters),
            goals=goals(free, contended, waiters),
            failures=failures,
            load=(load, os.getloadavg()[0]),
        )


def _free(seconds: float, failures: list[str]) -> Pairs:
    with ExitStack() as stack:
        agents = [stack.enter_context(Agent("bench.locks.pairs", group)) for group in groups()]
        found = measured("free locks", agents, seconds, failures)
    return Pairs(title="free, 1 process", base=names.PAIR, series=found.series)


def _contended(seconds: float, failures: list[str]) -> Contended:
    with Agent("bench.locks.contended", chunk=Contest) as agent:
        found = measured("contended locks", [agent], seconds, failures)
    title = "contended, 8 processes, held for 1 ms"
    return Contended(title=title, base=names.PAIR, series=found.series)


def _waiters(seconds: float, failures: list[str]) -> Waiters:
    with Agent("bench.locks.waiters") as agent:
        found = measured("waiters of an event loop", [agent], seconds, failures)
    title = "waiters, 100 tasks of one event loop, held for 1 ms"
    return Waiters(title=title, base=names.ASYNC_REDIS_PY, series=found.series)
