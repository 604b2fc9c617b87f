"""The example service, and the same with one defect each."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from examples.http_participant import service
from examples.http_participant.service import CANCELLED, COMMITTED, DONE, PREPARED, REFUSED, Bank

KEYS = {"2026": "s" * 32}
Answer = tuple[int, dict[str, Any]]
CENTS = 1_000


class HoldsTwice(Bank):
    def perform(self, told: dict[str, Any]) -> Answer:
        if told["phase"] == "prepare":
            self.execute("DELETE FROM branch WHERE state = 'prepared'")
        return super().perform(told)

    def execute(self, sql: str, *params: Any) -> None:
        with closing(self._connected()) as database:
            database.execute(sql, params)


class AddsTwice(HoldsTwice):
    def perform(self, told: dict[str, Any]) -> Answer:
        if told["phase"] == "commit":
            self.execute("UPDATE account SET cents = cents - 1")
        return Bank.perform(self, told)


class ReturnsTwice(HoldsTwice):
    def perform(self, told: dict[str, Any]) -> Answer:
        if told["phase"] == "cancel":
            self.execute("UPDATE branch SET state = 'prepared' WHERE id = ?", told["branch"])
        return Bank.perform(self, told)


class Races(HoldsTwice):
    """Looks whether a branch is known, and takes the lock when it may no longer be true."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._both = threading.Barrier(2)
        self._first_done = threading.Event()

    def perform(self, told: dict[str, Any]) -> Answer:
        if told["phase"] != "prepare":
            return Bank.perform(self, told)
        with closing(self._connected()) as database:
            sql = "SELECT 1 FROM branch WHERE id = ?"
            known = database.execute(sql, (told["branch"],)).fetchone()
        if known is not None:
            return Bank.perform(self, told)
        self._first_done.clear()
        try:
            second = self._both.wait(timeout=3) == 1
        except threading.BrokenBarrierError:
            self._both.reset()
            return Bank.perform(self, told)
        if second:
            self._first_done.wait(3)
            self.execute("DELETE FROM branch WHERE id = ?", told["branch"])
        answer = Bank.perform(self, told)
        self._first_done.set()
        return answer


class KnowsNoCancel(Bank):
    def _finish(
        self, database: sqlite3.Connection, state: str | None, branch: str, wanted: str
    ) -> Answer:
        if state is None:
            return REFUSED, {"reason": "unknown branch"}
        return super()._finish(database, state, branch, wanted)


class ForgetsTheCancel(HoldsTwice):
    def perform(self, told: dict[str, Any]) -> Answer:
        if told["phase"] == "prepare":
            self.execute("DELETE FROM branch WHERE state = ?", CANCELLED)
        return Bank.perform(self, told)


class SaysDone(Bank):
    def _finish(
        self, database: sqlite3.Connection, state: str | None, branch: str, wanted: str
    ) -> Answer:
        if state is None and wanted == COMMITTED:
            return DONE, {}
        return super()._finish(database, state, branch, wanted)


class TakesBack(Bank):
    def _finish(
        self, database: sqlite3.Connection, state: str | None, branch: str, wanted: str
    ) -> Answer:
        if state == COMMITTED and wanted == CANCELLED:
            database.execute("UPDATE account SET cents = cents + 1")
            return DONE, {}
        return super()._finish(database, state, branch, wanted)


class ForgetsThePrepare(HoldsTwice):
    """Keeps what is prepared with the connection that asked, which dies with its caller."""

    def perform(self, told: dict[str, Any]) -> Answer:
        if told["phase"] == "prepare":
            sql = "UPDATE branch SET state = ? WHERE id = ? AND state = ?"
            self.execute(sql, CANCELLED, told["branch"], PREPARED)
        return Bank.perform(self, told)


BANKS: dict[str, type[Bank]] = {
    "good": Bank,
    "holds-twice": HoldsTwice,
    "adds-twice": AddsTwice,
    "returns-twice": ReturnsTwice,
    "races": Races,
    "knows-no-cancel": KnowsNoCancel,
    "forgets-the-cancel": ForgetsTheCancel,
    "says-done": SaysDone,
    "takes-back": TakesBack,
    "forgets-the-prepare": ForgetsThePrepare,
    "believes": Bank,
}


class Believing(service.Handler):
    """Takes whatever it is sent."""

    def wrong(self, body: bytes) -> str:
        return ""


@contextmanager
def serving(folder: Path) -> Iterator[dict[str, tuple[str, str]]]:
    """All of them: URL and database by name."""
    running: list[tuple[service.Service, threading.Thread]] = []
    found: dict[str, tuple[str, str]] = {}
    for name, kind in BANKS.items():
        path = folder / f"{name}.sqlite3"
        bank = kind(str(path))
        with closing(sqlite3.connect(path)) as database, database:
            database.execute("INSERT INTO account (name, cents) VALUES ('a', ?)", (CENTS,))
        server = service.Service(0, bank, KEYS)
        if name == "believes":
            server.RequestHandlerClass = Believing
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        running.append((server, thread))
        found[name] = (f"http://127.0.0.1:{server.server_address[1]}/", str(path))
    try:
        yield found
    finally:
        for server, thread in running:
            server.shutdown()
            server.server_close()
            thread.join(timeout=10)
