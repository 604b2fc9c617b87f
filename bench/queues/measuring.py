"""Runs the cases of queues: as fast as they can by server, publishing alone, and one each 10 ms."""

import os
import sys

from bench.agents import Agent
from bench.ground import ground, migrate_sqlite
from bench.measured import measured
from bench.queues import names
from bench.queues.goals import goals
from bench.queues.hauling import Haul
from bench.queues.tables import Latency, Throughput
from bench.report import Report
from bench.surroundings import surroundings

NOTES = """
One producer process and one consumer process, bodies of 1 KiB; each message is published, taken,
acked, and counted: violated is how many were lost, taken twice, or not acked in the end. One server
each on this machine. Redis logs writes each second for everybody; RabbitMQ's queues are durable,
messages persistent and confirmed, mandatory with pika and Concord; PostgreSQL flushes each commit;
SQLite is as Django opens it. A turn is a queue of its own, filled for 0.4 s and emptied; us/msg is
from the first call until the last ack (of tasks, until the last body). "x base" is the median over
the cycles of the base's time over this one's, q1 and q3 the quartiles; cases take turns in random
order. 64: messages published, taken and acked by one call each, or in flight; one by one: a call
each. Streams keep what is acked. Prefetch is 64. Tasks: JSON, acked when they have returned; Celery
by one process, "solo"; dramatiq by 8 threads; procrastinate 10 at once. Concord counts attempts,
gives receipts, records each change (but on RabbitMQ, where attempts and acks are kept in Redis),
and makes a call once even if its reply is lost. Latency: from the moment when a message is due,
until it is taken. CPU is of both processes.
"""
PACKAGES = (
    *("redis", "hiredis", "amqp", "kombu", "celery", "pika", "aio-pika", "dramatiq"),
    *("procrastinate", "psycopg", "Django"),
)
BASES = {
    "Redis": names.STREAMS,
    "RabbitMQ": names.AIO_PIKA_QUORUM,
    "PostgreSQL": names.SKIP_LOCKED,
}


def measure(*, seconds: float, broker: str) -> Report:
    """Start servers and processes, and measure five tables in them.

    Args:
        seconds: how long each table is measured for, at the least four turns of each case.
        broker: is not used here.
    """
    with ground(broker, optional=("rabbitmq",)):
        migrate_sqlite()
        _create_tables()
        load = os.getloadavg()[0]
        failures: list[str] = []
        both = {server: _throughput(server, "both", seconds, failures) for server in BASES}
        publishing = _throughput("RabbitMQ", "publishing", seconds, failures)
        latency = _latency(seconds, failures)
        return Report(
            notes=" ".join(NOTES.split()),
            surroundings=surroundings(PACKAGES),
            tables=(*both.values(), publishing, latency),
            goals=goals(both, publishing, latency),
            failures=failures,
            load=(load, os.getloadavg()[0]),
        )


def _throughput(server: str, mode: str, seconds: float, failures: list[str]) -> Throughput:
    title = f"{server}, {'publishing alone' if mode == 'publishing' else 'throughput'}"
    with Agent("bench.queues.hauling", server, mode, chunk=Haul) as agent:
        # Every turn forks its processes: only the servers warm up.
        found = measured(title, [agent], seconds, failures, warm_up=1)
    return Throughput(
        title=f"{title} (base: {BASES[server]})", base=BASES[server], series=found.series
    )


def _latency(seconds: float, failures: list[str]) -> Latency:
    title = "latency, 100 messages a second"
    with Agent("bench.queues.hauling", "", "latency", chunk=Haul) as agent:
        found = measured(title, [agent], seconds, failures, warm_up=1)
    return Latency(title=title, base=names.STREAMS, series=found.series)


def _create_tables() -> None:
    from bench.queues import procrastinate_peer

    try:
        procrastinate_peer.create_tables()
    except ImportError as error:
        sys.stderr.write(f"going on without procrastinate: {error}\n")
