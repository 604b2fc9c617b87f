"""A Celery task: acked when it has returned, by one process of the pool "solo"."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from bench.queues.ways import MANY, WAIT_S, Hands, Publish


def publisher(url: Callable[[], str], name: str) -> Publish:
    """One message after the other; on RabbitMQ each is confirmed."""
    work = _task(_app(url, name), lambda body: None)

    def publish(bodies: Sequence[str]) -> None:
        for body in bodies:
            work.apply_async((body,))

    return publish


def consume(url: Callable[[], str], name: str, hands: Hands) -> None:
    """A worker, until it is complete."""
    from celery.worker import WorkController, state

    app = _app(url, name)
    _task(app, lambda body: hands.take([body]))

    def watch() -> None:
        while not hands.complete:
            threading.Event().wait(WAIT_S)
        state.should_stop = 0

    def ready(_: object) -> None:
        hands.ready()
        threading.Thread(target=watch, daemon=True).start()

    WorkController(
        app=app,
        pool_cls="solo",
        concurrency=1,
        queues=[name],
        loglevel="ERROR",
        ready_callback=ready,
        without_heartbeat=True,
        without_mingle=True,
        without_gossip=True,
    ).start()


def _task(app: Any, do: Callable[[str], None]) -> Any:
    def work(body: str) -> None:
        do(body)

    return app.task(work, name="bench.work", ignore_result=True, acks_late=True)


def _app(url: Callable[[], str], name: str) -> Any:
    from celery import Celery

    app = Celery("bench", broker=url(), set_as_current=False, fixups=())
    app.conf.update(
        task_default_queue=name,
        worker_prefetch_multiplier=MANY,
        worker_hijack_root_logger=False,
        broker_transport_options={"confirm_publish": True} if url().startswith("amqp") else {},
    )
    return app
