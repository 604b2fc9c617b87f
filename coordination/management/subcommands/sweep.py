"""``manage.py concord sweep``: bring forward what lost its messages, until stopped."""

import signal
import threading
from argparse import ArgumentParser
from collections.abc import Mapping
from types import FrameType
from typing import Any

from coordination.locks.continuations.keeper import Keeper
from coordination.queues.outbox import relaying
from coordination.queues.sweeps import carrying
from coordination.transactions import orphans, retention, sweeper

help = "Guarantee progress of transactions, continuations, outboxes; any number may run."  # noqa: A001


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--once", action="store_true", help="Sweep what is due now, then leave.")


def handle(options: Mapping[str, Any]) -> None:
    """Sweep until SIGTERM or SIGINT; a sweep under way is completed first."""
    if options["once"]:
        sweeper.sweep_once()
        orphans.sweep()
        relaying.relay_all()
        carrying.carry_all()
        retention.run_once()
        return
    stop = threading.Event()

    def leave(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    keeping = threading.Thread(target=Keeper().run, args=(stop,), name="continuations")
    relays = threading.Thread(target=relaying.run, args=(stop,), name="outboxes")
    sweeps = threading.Thread(target=carrying.run, args=(stop,), name="sweeps of queues")
    forgets = threading.Thread(target=retention.run, args=(stop,), name="retention")
    beside = (keeping, relays, sweeps, forgets)
    for thread in beside:
        thread.start()
    sweeper.run(stop)
    for thread in beside:
        thread.join()
