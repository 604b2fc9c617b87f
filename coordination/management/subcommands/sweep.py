"""``manage.py concord sweep``: bring forward what lost its messages, until stopped."""

import signal
import threading
from argparse import ArgumentParser
from collections.abc import Mapping
from types import FrameType
from typing import Any

from coordination.locks.continuations.keeper import Keeper
from coordination.queues.outbox import relaying
from coordination.transactions import orphans, sweeper

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
        return
    stop = threading.Event()

    def leave(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    keeping = threading.Thread(target=Keeper().run, args=(stop,), name="continuations")
    relays = threading.Thread(target=relaying.run, args=(stop,), name="outboxes")
    keeping.start()
    relays.start()
    sweeper.run(stop)
    keeping.join()
    relays.join()
