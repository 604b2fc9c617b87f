"""`manage.py demo`: opens the bank's accounts and offers the SmallBank mix until told to stop."""

import json
import signal
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError, ProgrammingError, connections

from examples.bank.clerks import Clerks
from examples.bank.load import Load
from examples.bank.money import in_units
from examples.bank.post import Post
from examples.bank.seeding import seed
from examples.bank.totals import total

REPORT_S = 5.0
RETRY_S = 1.0


class Command(BaseCommand):
    help = "Offer the bank's transactions at a chosen rate; runs until SIGTERM or SIGINT."
    # `make up` has checked; a check that looks into a store would fail while that is away.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--rate", type=float, default=20, help="offered transactions a second")
        parser.add_argument("--seconds", type=float, default=0, help="how long; 0 means for ever")
        parser.add_argument("--accounts", type=int, default=200, help="accounts in both databases")
        parser.add_argument("--threads", type=int, default=4, help="transactions in flight at most")
        parser.add_argument("--seed", type=int, default=1, help="of the drawn transactions")
        parser.add_argument("--clerks", type=int, default=0, help="threads that take locks")
        parser.add_argument("--letters", type=float, default=0, help="statements sent a second")
        parser.add_argument("--no-load", action="store_true", help="only open the accounts")
        parser.add_argument(
            "--json", action="store_true", help="print only a JSON summary at the end"
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Seed, offer, report, drain.

        Raises:
            CommandError: an option is out of range or the bank's databases are not migrated.
        """
        self._quiet: bool = options["json"]
        try:
            load = Load(
                rate=options["rate"],
                threads=options["threads"],
                seed=options["seed"],
                accounts=options["accounts"],
            )
        except ValueError as error:
            raise CommandError(str(error)) from error
        try:
            with _stop_signals() as self._signals:
                if self._seed(options["accounts"]) and not options["no_load"]:
                    clerks, post = Clerks(options["clerks"]), Post(options["letters"])
                    clerks.start()
                    post.start()
                    self._offer(load, options["seconds"])
                    clerks.stop(within_s=REPORT_S)
                    post.stop(within_s=REPORT_S)
        finally:
            connections.close_all()

    def _seed(self, accounts: int) -> bool:
        """Open the accounts, waiting for the databases; False if told to stop meanwhile."""
        while True:
            try:
                seed(accounts)
            except ProgrammingError as error:
                raise CommandError(
                    "The bank's databases are not migrated: run `manage.py migrate --database "
                    f"bank_a`, and the same for bank_b ({error})."
                ) from error
            except (OperationalError, InterfaceError) as error:
                self._say(f"waiting for the bank's databases: {str(error).strip()}")
                connections.close_all()
                if self._told_to_stop(RETRY_S):
                    return False
            else:
                self._say(f"{accounts} accounts are open")
                return True

    def _offer(self, load: Load, seconds: float) -> None:
        stop_at = time.monotonic() + seconds if seconds > 0 else None
        load.start()
        earlier = load.statistics()
        while not self._told_to_stop(_pause(stop_at)):
            now = load.statistics()
            self._say(now.since(earlier).as_line())
            earlier = now
            if stop_at is not None and time.monotonic() >= stop_at:
                break
        summary = load.stop()
        if load.in_flight:
            self._say(f"gave up waiting for {load.in_flight} in flight")
        if self._quiet:
            self.stdout.write(json.dumps(summary.as_dict()))
        else:
            self._say(f"all: {summary.as_line()}")
            self._say_total()

    def _say_total(self) -> None:
        try:
            now = total()
        except (OperationalError, InterfaceError) as error:
            self._say(f"total not read: {str(error).strip()}")
            return
        self._say(f"total {in_units(now.cents)}, in flight {in_units(now.in_flight)}")

    def _told_to_stop(self, within_s: float) -> bool:
        try:
            self._signals.get(timeout=within_s)
        except Empty:
            return False
        return True

    def _say(self, line: str) -> None:
        if not self._quiet:
            self.stdout.write(line)
            self.stdout.flush()


def _pause(stop_at: float | None) -> float:
    if stop_at is None:
        return REPORT_S
    return max(0.0, min(REPORT_S, stop_at - time.monotonic()))


@contextmanager
def _stop_signals() -> Iterator[SimpleQueue[int]]:
    """Collect SIGTERM and SIGINT in a queue.

    The handler runs in the main thread, which may be inside any lock of its own; `SimpleQueue.put`
    is reentrant where an event's `set` would block for ever.
    """
    received: SimpleQueue[int] = SimpleQueue()
    before = {
        number: signal.signal(number, lambda number, _: received.put(number))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
