"""Fold events into records and the live feed; audit transactions, locks, counters and queues."""

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
from coordination.counters import watching as counters
from coordination.counters.recording import CounterProjection
from coordination.locks.auditor import LockAuditor
from coordination.locks.importing import Importer
from coordination.locks.looking import Lookout
from coordination.locks.pruning import Pruner
from coordination.locks.recording import LockProjection
from coordination.locks.stores.sources import event_sources
from coordination.observing.feed import Feed
from coordination.observing.fences import Fenced
from coordination.observing.journal import Journal
from coordination.observing.loop import Pace, run
from coordination.observing.observer import Observer
from coordination.observing.projections import Projection
from coordination.observing.rebuild import rebuild
from coordination.queues import watching as queues
from coordination.queues.recording import QueueProjection
from coordination.transactions.auditor import PERIOD_S, Auditor
from coordination.transactions.recording import TransactionProjection

logger = logging.getLogger(__name__)

OBSERVER_PACE = Pace(busy_s=0.04, idle_s=0.15)
IMPORTER_PACE = Pace(busy_s=0.01, idle_s=0.15)
AUDITOR_PACE = Pace(busy_s=0.05, idle_s=PERIOD_S)
PRUNER_PACE = Pace(busy_s=0.2, idle_s=300.0)
SAMPLER_PACE = Pace(busy_s=0.5, idle_s=0.5)
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
    """The journal of this project's events."""
    return Journal(conf.current().transactions.using)


def projections() -> list[Projection]:
    """Every projection of this project."""
    return [
        TransactionProjection(),
        LockProjection(),
        CounterProjection(),
        QueueProjection(),
    ]


def feed() -> Feed | None:
    """The feed of this node; None without a Redis store to carry it."""
    settings = conf.current()
    mailbox = settings.transactions.mailbox
    return None if mailbox is None else Feed(registry.redis_store(mailbox), settings.node)


def make_observer() -> Observer:
    """An observer of this project's events."""
    return Observer(journal(), projections(), feed())


def make_importer() -> Importer:
    """An importer of the events that stores of locks keep themselves."""
    return Importer(conf.current().transactions.using, event_sources())


def make_auditor() -> Auditor:
    """An auditor of this project's transactions."""
    settings = conf.current()
    return Auditor(settings.transactions.using, node=settings.node)


def make_lock_auditor() -> LockAuditor:
    """An auditor of this project's locks."""
    aliases = [source.alias for source in event_sources()]
    return LockAuditor(conf.current().transactions.using, stores=aliases)


def observe_all() -> None:
    """Import, observe and audit until nothing is left that can be done now."""
    importer, observer = make_importer(), make_observer()
    counted, queued = counters.make_importer(), queues.make_importer()
    copies = (importer.step, counted.step, queued.step, observer.step)
    while sum(map(_drain, copies)):
        pass
    queues.make_sampler().step()
    auditor = make_auditor()
    while auditor.step():
        pass
    _drain(make_lock_auditor().step)
    _drain(counters.make_auditor().step)
    _drain(queues.make_auditor().step)


def _drain(step: Callable[[], int]) -> int:
    total = 0
    while True:
        try:
            done = step()
        except Fenced:
            continue
        total += done
        if done == 0:
            return total


def _run_for_ever() -> None:
    stop = Flag()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    loops = _loops(stop)
    for loop in loops:
        loop.start()
    logger.info("observing and auditing node %s", conf.current().node)
    stop.wait()
    for loop in loops:
        loop.join()


def _loops(stop: Flag) -> list[Thread]:
    using = conf.current().transactions.using
    importer, observer, auditor = make_importer(), make_observer(), make_auditor()

    def loop(
        name: str,
        step: Callable[[], int],
        pace: Pace,
        stand_by: Callable[[], object] | None = None,
        stand_by_every_s: float = 1.0,
    ) -> Thread:
        more = {"stand_by": stand_by, "stand_by_every_s": stand_by_every_s}
        return Thread(
            target=run, args=(name, step), kwargs={"pace": pace, "stop": stop, **more}, name=name
        )

    return [
        loop("importer", importer.step, IMPORTER_PACE, Lookout(using, importer).look),
        loop("observer", observer.step, OBSERVER_PACE, observer.stand_by),
        loop("auditor", auditor.step, AUDITOR_PACE, _prune, PRUNE_EVERY_S),
        loop("lock auditor", make_lock_auditor().step, AUDITOR_PACE),
        loop("pruner", Pruner(using).step, PRUNER_PACE),
        loop("counter importer", counters.make_importer().step, IMPORTER_PACE),
        loop("counter auditor", counters.make_auditor().step, AUDITOR_PACE),
        loop("counter pruner", counters.make_pruner().step, PRUNER_PACE),
        loop("queue importer", queues.make_importer().step, IMPORTER_PACE),
        loop("queue sampler", queues.make_sampler().step, SAMPLER_PACE),
        loop("queue auditor", queues.make_auditor().step, AUDITOR_PACE),
        loop("queue pruner", queues.make_pruner().step, PRUNER_PACE),
    ]


def _prune() -> None:
    for projection in projections():
        database.run(conf.current().transactions.using, *projection.prune())
