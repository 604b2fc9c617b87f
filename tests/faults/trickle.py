"""Begins transactions as the bank's load does not: by task, cancelled, silent, committing alone.

A silent one is made durable and none of its messages is sent, as if its caller had died there, so
only the sweeper can bring it to its end. Runs until SIGTERM; outages are shrugged off.
"""

import os
import secrets
import signal
import threading
import time
from functools import partial

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connections  # noqa: E402

from config.celery import app  # noqa: E402
from coordination.connections.database import StatementRefused  # noqa: E402
from coordination.exceptions import CoordinationError  # noqa: E402
from coordination.kernel import gids  # noqa: E402
from coordination.transactions import plan  # noqa: E402
from coordination.transactions.coordinator import store  # noqa: E402
from coordination.transactions.types import NewTransaction, Protocol  # noqa: E402
from tests.faults import receipts  # noqa: E402

PAUSE_S = 0.1
OUTAGE = (
    *(CoordinationError, StatementRefused, OSError),
    *app.connection().recoverable_connection_errors,
)
LEGS = (
    ("bank.a.withdraw", {"account": 2, "cents": 1}),
    ("bank.b.deposit", {"account": 1, "cents": 1}),
)


def by_task(key: str) -> None:
    begin("trickle", [{"participant": name, "args": args} for name, args in LEGS], key)


def begin(name: str, branches: list[dict[str, object]], key: str) -> None:
    kwargs = {"name": name, "branches": branches, "key": key}
    app.send_task("coordination.transaction.begin", kwargs=kwargs, queue="bank.call", retry=False)


def cancelled(key: str) -> None:
    by_task(key)
    gid = gids.keyed_gid("bank", "trickle", key)
    app.send_task("coordination.transaction.cancel", args=(gid,), queue="bank.call", retry=False)


def silent(key: str, deadline_ms: int) -> None:
    parts = [plan.enlisted(name, args) for name, args in LEGS]
    store().begin(
        NewTransaction(
            gid=gids.make_gid("bank", int(time.time()), secrets.token_bytes(8)),
            name="silent",
            protocol=Protocol.TWO_PHASE,
            node="bank",
            key=None,
            digest="",
            deadline_ms=deadline_ms,
            patience_ms=300,
            mailbox="",
            then_signature=None,
            branches=plan.branches(parts, coordinator="default"),
            by="trickle",
        )
    )


def main() -> None:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    turns = (
        *(by_task, cancelled, lambda key: silent(key, 100), lambda key: silent(key, 8_000)),
        *(partial(begin, kind, receipts.branches(kind)) for kind in receipts.KINDS),
    )
    turn = 0
    while not stop.wait(PAUSE_S):
        turn += 1
        try:
            turns[turn % len(turns)](secrets.token_hex(8))
        except OUTAGE:
            connections.close_all()


if __name__ == "__main__":
    main()
