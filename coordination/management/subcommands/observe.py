"""Fold events into records and the live feed, and audit every ended transaction."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Callable, Mapping
from threading import Event as Flag
from threading import Thread
from typing import Any

from coordination import conf, registry
from coordination.connections import database
from coordination.observing.feed import Feed
from coordination.observing.journal import Fenced, Journal
from coordination.observing.loop import Pace, run
from coordination.observing.observer import Observer
from coordination.observing.rebuild import rebuild
from coordination.transactions.auditor import PERIOD_S, Auditor
from coordination.transactions.recording import TransactionProjection

logger = logging.getLogger(__name__)

OBSERVER_PACE = Pace(busy_s=0.04, idle_s=0.15)
AUDITOR_PACE = Pace(busy_s=0.05, idle_s=PERIOD_S)
PRUNE_EVERY_S = 600.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `manage.py concord observe`."""
    parser.add_argument(
        "--rebuild", action="store_true", help="drop all records, fold them again, and end"
    )
    parser.add_argument(
        "--once", action="store_true", help="observe and audit what there is now, and end"
    )


def handle(options: Mapping[str, Any]) -> None:
    """Run until SIGINT or SIGTERM, through any outage of a store."""
    if options["rebuild"]:
        folded = rebuild(journal(), projections())
        sys.stdout.write(f"folded {folded} events\n")
    elif options["once"]:
        observe_all()
    else:
        _run_for_ever()


def journal() -> Journal:
    """The journal of this project's transactions."""
    return Journal(conf.current().transactions.using)


def projections() -> list[TransactionProjection]:
    """Every projection of this project."""
    return [TransactionProjection()]


def feed() -> Feed | None:
    """The feed of this node; None without a Redis store to carry it."""
    settings = conf.current()
    mailbox = settings.transactions.mailbox
    return None if mailbox is None else Feed(registry.redis_store(mailbox), settings.node)


def make_observer() -> Observer:
    """An observer of this project's transactions."""
    return Observer(journal(), projections(), feed())


def make_auditor() -> Auditor:
    """An auditor of this project's transactions."""
    settings = conf.current()
    return Auditor(settings.transactions.using, node=settings.node)


def observe_all() -> None:
    """Observe and audit until nothing is left that can be done now."""
    _drain(make_observer().step)
    auditor = make_auditor()
    while auditor.step():
        pass


def _drain(step: Callable[[], int]) -> None:
    while True:
        try:
            if step() == 0:
                return
        except Fenced:
            continue


def _run_for_ever() -> None:
    stop = Flag()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    observer, auditor = make_observer(), make_auditor()
    loops = [
        Thread(
            target=run,
            args=("observer", observer.step),
            kwargs={"pace": OBSERVER_PACE, "stop": stop, "stand_by": observer.stand_by},
            name="observer",
        ),
        Thread(
            target=run,
            args=("auditor", auditor.step),
            kwargs={
                "pace": AUDITOR_PACE,
                "stop": stop,
                "stand_by": _prune,
                "stand_by_every_s": PRUNE_EVERY_S,
            },
            name="auditor",
        ),
    ]
    for loop in loops:
        loop.start()
    logger.info("observing and auditing node %s", conf.current().node)
    stop.wait()
    for loop in loops:
        loop.join()


def _prune() -> None:
    for projection in projections():
        database.run(conf.current().transactions.using, *projection.prune())
