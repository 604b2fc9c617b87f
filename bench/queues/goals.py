"""What the tables are to reach. Only printed; a bench asserts nothing."""

from collections.abc import Mapping

from bench.columns import Columns
from bench.queues import names
from bench.report import Goal, against


def goals(both: Mapping[str, Columns], publishing: Columns, latency: Columns) -> list[Goal]:
    """Goals, with None for what could not be measured.

    Args:
        both: tables of publishing and taking at once, by server.
        publishing: RabbitMQ, publishing alone.
        latency: everybody.
    """
    redis, postgresql = both["Redis"], both["PostgreSQL"]
    ours = names.CONCORD_POSTGRESQL
    return [
        against(redis, "Redis, 64: streams, pipelined", 0.8, names.CONCORD, names.STREAMS),
        *(
            against(publishing, f"RabbitMQ publish 64: {peer}", reach, ours_, peer)
            for ours_ in (names.CONCORD_RABBITMQ,)
            for reach, peer in (
                (3.0, names.PIKA_CLASSIC),
                (3.0, names.PIKA_QUORUM),
                (1.0, names.AIO_PIKA_CLASSIC),
                (1.0, names.AIO_PIKA_QUORUM),
            )
        ),
        against(postgresql, "PostgreSQL, 64: SKIP LOCKED, DELETE", 0.7, ours, names.SKIP_LOCKED),
        against(postgresql, "... lease then DELETE", 0.7, ours, names.SKIP_LOCKED_LEASE),
        against(postgresql, "PostgreSQL, 64: procrastinate", 1.5, ours, names.PROCRASTINATE_BATCH),
        Goal(
            "lost, doubled or left by Concord",
            0,
            _violations(*both.values(), publishing, latency),
            at_most=True,
        ),
    ]


def _violations(*tables: Columns) -> float:
    return sum(
        series.violations
        for table in tables
        for name, series in table.series.items()
        if name.startswith("Concord")
    )
