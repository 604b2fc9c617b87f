"""One long loaded run in which processes are killed at named steps.

Workers read their orders from one folder and the sweeper from another, so that "kill your parent"
can only reach a worker's main process. A kill counts when its failpoint fired.
"""

import json
import random
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from django.db import connections

from config.servers import Servers
from coordination.transactions import orphans
from coordination.transactions.tables import Transaction
from examples.bank.seeding import seed
from examples.bank.totals import settled_total
from tests.faults import receipts
from tests.stack import COMMANDS, Stack, wait_until

RATE, RATE_LEAST = 75, 50
"""Transactions a second: how many are offered, how many must be ending when a kill is ordered."""
# Each opens a connection to every database, and the servers allow 200: with 120 threads it was the
# load that kept workers from coming back.
THREADS = 40
ACCOUNTS = 400
# Celery holds the slot of a killed child for ten seconds, and one worker has a single slot.
FIRED_WITHIN_S = 45
RECOVERED_WITHIN_S = 60
ENDED_WITHIN_S = 30
WORKER_STEPS = tuple(
    f"{step}.{side}"
    for step in (
        *("tx.begin", "tx.publish", "tx.decide"),
        *("branch.prepare", "branch.commit", "branch.vote", "branch.finish", "branch.ack"),
    )
    for side in ("before", "after")
)
SWEEPER_STEPS = (
    *("sweep.lease.after", "tx.publish.before", "tx.publish.after"),
    *("tx.decide.before", "tx.decide.after"),
)
VICTIMS = ("worker child", "worker main", "sweeper", "postmaster")


@dataclass(frozen=True, slots=True)
class Kill:
    """Who dies when whom reaches which step."""

    step: str
    victim: str
    by: str = "workers"


EVERY_KILL = (
    *(Kill(step, victim) for step in WORKER_STEPS for victim in VICTIMS),
    *(Kill(step, "sweeper", "sweeper") for step in SWEEPER_STEPS),
    *(Kill(step, "postmaster", "sweeper") for step in SWEEPER_STEPS),
)


class CrashRun:
    """Starts everything, kills by order, and waits for the books to balance."""

    def __init__(self, servers: Servers, environment: Mapping[str, str], folder: Path) -> None:
        self.servers = servers
        self.orders = {who: folder / who for who in ("workers", "sweeper")}
        for orders in self.orders.values():
            orders.mkdir(mode=0o777)
        self.stack = Stack(servers, {**environment, "FAILPOINTS": "1", "LOG_LEVEL": "ERROR"})

    def start(self) -> None:
        seed(ACCOUNTS)
        receipts.create_tables()
        workers = {"CONCORD_FAILPOINTS_DIR": str(self.orders["workers"])}
        sweeper = {"CONCORD_FAILPOINTS_DIR": str(self.orders["sweeper"])}
        for name in ("prepare", "finish", "call"):
            command = (*COMMANDS[name], "--include", receipts.__name__)
            self.stack.run(name, command, workers)
        self.stack.run("sweep", COMMANDS["sweep"], sweeper)
        self.stack.run("observe", COMMANDS["observe"])
        self.stack.run("trickle", ("-m", "tests.faults.trickle"))
        # Not before the workers serve: what waits for them past its deadline is work for nothing.
        wait_until("workers commit", lambda: self.committed() > 3, within_s=60)
        load = ("--rate", str(RATE), "--threads", str(THREADS), "--accounts", str(ACCOUNTS))
        self.stack.run("load", ("manage.py", "demo", *load))
        wait_until("the load runs", lambda: self.ended() > 100, within_s=60)

    def perform(self, kills: tuple[Kill, ...]) -> None:
        for number, kill in enumerate(kills, 1):
            back_s = self._await_load()
            took_s = self._kill(kill)
            told = f"{kill} under load after {back_s:.1f} s, fired after {took_s:.1f} s"
            print(f"{number}/{len(kills)} {told}", file=sys.stderr)

    def _await_load(self) -> float:
        """Wait until at least `RATE_LEAST` transactions have ended in the last second."""
        seen: deque[tuple[float, int]] = deque()

        def loaded() -> bool:
            seen.append((time.monotonic(), self.ended()))
            if not seen[-1][1]:
                seen.clear()  # the database is down
            if len(seen) < 2:
                return False
            while seen[-1][0] - seen[1][0] >= 1:
                seen.popleft()
            took_s = seen[-1][0] - seen[0][0]
            return took_s >= 1 and seen[-1][1] - seen[0][1] >= RATE_LEAST * took_s

        return wait_until(f"{RATE_LEAST} a second", loaded, within_s=RECOVERED_WITHIN_S)

    def _kill(self, kill: Kill) -> float:
        orders = self.orders[kill.by]
        fired = orders / f"{kill.step}.fired"
        fired.unlink(missing_ok=True)
        draft = orders / "draft"
        draft.write_text(json.dumps(self._order(kill)))
        draft.rename(orders / f"{kill.step}.arm")
        return wait_until(f"{kill} fired", fired.exists, within_s=FIRED_WITHIN_S)

    def _order(self, kill: Kill) -> dict[str, object]:
        if kill.victim == "worker child" or (kill.victim, kill.by) == ("sweeper", "sweeper"):
            return {"action": "kill", "signal": 9}
        if kill.victim == "worker main":
            return {"action": "kill-parent", "signal": 9}
        name = {"sweeper": "sweep", "postmaster": "postgresql"}[kill.victim]
        pids: list[int] = []

        def running() -> bool:
            pids[:] = [pid for server, pid in self.servers.pids().items() if server == name]
            return bool(pids)

        wait_until(f"{name} runs again", running)
        return {"action": "kill-pid", "pid": pids[0], "signal": 9}

    def ended(self) -> int:
        """Transactions that ended; 0 while the database is down."""
        try:
            return Transaction.objects.filter(ended_at__isnull=False).count()
        except Exception:  # noqa: BLE001 - whatever a killed server does to its clients
            connections.close_all()
            return 0

    def committed(self) -> int:
        return Transaction.objects.filter(outcome="committed").count()

    def settle(self) -> float:
        """Stop the load; seconds until every transaction has ended."""
        started = time.monotonic()
        self.stack.halt("load", "trickle")
        wait_until("every transaction ended", self.all_ended, within_s=ENDED_WITHIN_S)
        return time.monotonic() - started

    def all_ended(self) -> bool:
        try:
            return not Transaction.objects.filter(ended_at__isnull=True).exists()
        except Exception:  # noqa: BLE001 - see `ended`
            connections.close_all()
            return False

    def never_hit(self) -> set[str]:
        """Failpoints of this run that no process ever reached."""
        workers = {path.stem for path in self.orders["workers"].glob("*.hit")}
        sweeper = {path.stem for path in self.orders["sweeper"].glob("*.hit")}
        return (set(WORKER_STEPS) - workers) | (set(SWEEPER_STEPS) - sweeper)

    def left_prepared(self) -> list[str]:
        found = [branch for using in orphans.aliases() for branch in orphans.prepared(using)]
        return [branch.branch_gid for branch in found]

    def conserved(self) -> bool:
        return settled_total().conserved

    def stop(self) -> None:
        self.stack.stop()
        receipts.drop_tables()


def sample(seed: int, size: int) -> tuple[Kill, ...]:
    """Some of the kills, the same for one seed."""
    return tuple(random.Random(seed).sample(EVERY_KILL, size))
