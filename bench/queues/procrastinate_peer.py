"""procrastinate: jobs in PostgreSQL, by one worker with 10 at once; what is done is deleted."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg

from bench.addresses import postgresql_url
from bench.queues.ways import WAIT_S, Hands, Publish

CONCURRENCY = 10


def create_tables() -> None:
    """Its own schema, in the project's database."""
    app = _app("SyncPsycopgConnector")
    with app.open():
        app.schema_manager.apply_schema()


def publisher(name: str) -> Publish:
    """One statement for all that are given at once."""
    app = _app("SyncPsycopgConnector")
    app.open()
    jobs = app.task(lambda body: None, name="bench.work").configure(queue=name)

    def publish(bodies: Sequence[str]) -> None:
        if len(bodies) == 1:
            jobs.defer(body=bodies[0])
        else:
            jobs.batch_defer(*({"body": body} for body in bodies))

    return publish


def consume(name: str, hands: Hands) -> None:
    """A worker, until it is complete."""
    asyncio.run(_consuming(name, hands))


async def _consuming(name: str, hands: Hands) -> None:
    app = _app("PsycopgConnector")

    async def work(body: str) -> None:
        hands.take([body])

    app.task(work, name="bench.work")
    async with app.open_async():
        worker = asyncio.create_task(
            app.run_worker_async(
                queues=[name],
                concurrency=CONCURRENCY,
                install_signal_handlers=False,
                delete_jobs="successful",
            )
        )
        await asyncio.to_thread(hands.ready)
        while not hands.complete:  # noqa: ASYNC110 - what it waits for is another process's
            await asyncio.sleep(WAIT_S)
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker


def left(name: str) -> int:
    """Jobs of the queue that are not done, and thus not deleted."""
    with psycopg.connect(postgresql_url(), autocommit=True) as connection:
        row = connection.execute(
            "SELECT count(*) FROM procrastinate_jobs WHERE queue_name = %s", (name,)
        ).fetchone()
    assert row is not None
    return int(row[0])


def _app(connector: str) -> Any:
    import procrastinate

    made = getattr(procrastinate, connector)(conninfo=postgresql_url())
    return procrastinate.App(connector=made)
