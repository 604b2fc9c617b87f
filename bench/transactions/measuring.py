"""Runs the cases of transactions: first what lives in one process, then everything."""

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from bench.agents import Agent
from bench.chunks import Case, CaseFailed, interleave
from bench.costs import Cost, cost
from bench.ground import ground, start_workers
from bench.report import Report, Table
from bench.transactions.goals import goals
from bench.transactions.names import CHORDS, RAW

SHORT_CHUNK_S, LONG_CHUNK_S = 0.05, 0.2
AGENTS = ("through_celery", "naive", "dbos_workflow")
COUNTED = 100
SLOW = {CHORDS: 5}
"""Cases of which fewer operations are counted."""

NOTES = """
One distributed transaction over two databases of one PostgreSQL (fsync on): an UPDATE in each.
"x raw" is the median over the cycles of the raw case's time per operation over this one's; cases
take turns in random order. us/op and op/s count the time until everything is applied, p50 and p99
what callers waited for: the decision (raw, naive, DBOS: their last answer). The coordinator's
tables are in a third database of that PostgreSQL, or, for the last agent, in the second
participant's. Workers: two processes prepare, two finish; 32 are threads of one process. Neither
observer nor sweeper runs. Concord's own statements never go through Django's cursors, only the
participants' do: it is one path, so both goals of a form are read against one figure. CPU is the
calling process's; commits, fsyncs and messages are per transaction, servers' own counts (RabbitMQ's
messages are not counted).
"""


def measure(*, seconds: float, broker: str) -> Report:
    """Start servers, workers and the others' processes, and measure two tables in them.

    Args:
        seconds: how long each table is measured for; start and counting come on top.
        broker: "redis" or "rabbitmq", for the cases with Celery.
    """
    with ground(broker, optional=["zookeeper"]) as servers, ExitStack() as stack:
        load = os.getloadavg()[0]
        failures: list[str] = []
        here = _table("inline", _inline(SHORT_CHUNK_S), seconds, failures)
        here.costs |= _costs(_inline(SHORT_CHUNK_S), broker)
        start_workers(servers)
        others = _others(stack, failures)
        title = f"workers and workflows (broker: {broker})"
        everywhere = _table(title, [*_inline(LONG_CHUNK_S), *others], seconds, failures)
        known = [case for case in others if case.name in everywhere.series]
        everywhere.costs |= here.costs | _costs(known, broker)
        return Report(
            notes=" ".join(NOTES.split()),
            tables=(here, everywhere),
            goals=goals(here, everywhere),
            failures=failures,
            load=(load, os.getloadavg()[0]),
        )


def _inline(chunk_s: float) -> list[Case]:
    # Only now: Django has to be set up before.
    from bench.transactions import inline

    return inline.cases(chunk_s=chunk_s)


def _others(stack: ExitStack, failures: list[str]) -> list[Case]:
    """The cases of every agent that can start."""
    cases: list[Case] = []
    for name in AGENTS:
        agent = stack.enter_context(Agent(f"bench.transactions.{name}"))
        try:
            found = agent.cases()
            for case in found:
                case.repeat(1)
        except CaseFailed as error:
            failures.append(f"{name}: {error}")
        else:
            cases += found
    return cases


def _table(title: str, cases: Sequence[Case], seconds: float, failures: list[str]) -> Table:
    _say(f"measuring {title}")
    measured = interleave(cases, seconds=seconds)
    failures += measured.failures
    return Table(title=title, base=RAW, series=measured.series, costs={})


def _costs(cases: Sequence[Case], broker: str) -> dict[str, Cost]:
    """What each case costs the servers, counted while nothing else runs."""
    _say("counting commits, fsyncs and messages")
    costs = {}
    for case in cases:
        costs[case.name] = cost(case, operations=SLOW.get(case.name, COUNTED), broker=broker)
    return costs


def _say(what: str) -> None:
    sys.stderr.write(f"{what}\n")
    sys.stderr.flush()
