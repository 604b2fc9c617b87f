"""Clerks of the bank, who keep its locks busy: files of accounts, a vault, the closing of books.

They change no money; they show on the dashboard what locks look like that are fought over, and
counters that live.
"""

import logging
import random
import threading
from collections.abc import Callable

from coordination import election, lock, multilock, semaphore
from coordination.exceptions import CoordinationError
from coordination.locks.grant import Grant
from examples.bank.tallies import (
    count_a_look,
    count_customers,
    count_letters,
    number_a_statement,
)

logger = logging.getLogger(__name__)

FILES = 24
AT_THE_VAULT = 2
RETRY_S = 2.0


class Clerks:
    """So many clerks, each a thread, and one more who stands for closing the books."""

    def __init__(self, count: int) -> None:
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, args=(f"clerk-{number}",), daemon=True)
            for number in range(1, count + 1)
        ]
        if count:
            closing = threading.Thread(target=self._close_the_books, daemon=True)
            self._threads.append(closing)

    def start(self) -> None:
        """Let them begin."""
        for thread in self._threads:
            thread.start()

    def stop(self, *, within_s: float) -> None:
        """Let them finish what they hold."""
        self._stop.set()
        for thread in self._threads:
            thread.join(within_s)

    def _work(self, clerk: str) -> None:
        chance = random.Random(clerk)
        duties: list[Callable[[str, random.Random], None]] = [
            *[self._edit_a_file] * 5,
            *[self._read_a_file] * 3,
            self._move_between_files,
            self._fetch_from_the_vault,
            *[count_customers] * 3,
            *[count_letters] * 2,
            number_a_statement,
            count_a_look,
        ]
        while not self._stop.is_set():
            try:
                chance.choice(duties)(clerk, chance)
            except CoordinationError as error:
                logger.debug("%s: %s", clerk, error)
                self._stop.wait(RETRY_S)
            self._stop.wait(chance.uniform(0.1, 0.8))

    def _edit_a_file(self, clerk: str, chance: random.Random) -> None:
        why = {"why": chance.choice(["address", "statement", "limit"])}
        with lock(_file(chance), owner=clerk, ttl=10, wait=5, metadata=why):
            self._stop.wait(chance.uniform(0.1, 1.5))

    def _read_a_file(self, clerk: str, chance: random.Random) -> None:
        with lock(_file(chance), owner=clerk, ttl=10, wait=5, shared=True):
            self._stop.wait(chance.uniform(0.1, 0.6))

    def _move_between_files(self, clerk: str, chance: random.Random) -> None:
        files = {_file(chance), _file(chance)}
        with multilock(*files, owner=clerk, ttl=10, wait=5):
            self._stop.wait(chance.uniform(0.1, 0.4))

    def _fetch_from_the_vault(self, clerk: str, chance: random.Random) -> None:
        with semaphore("vault", permits=AT_THE_VAULT, owner=clerk, ttl=10, wait=5):
            self._stop.wait(chance.uniform(0.5, 3.0))

    def _close_the_books(self) -> None:
        chance = random.Random("closing")
        standing = election("closing-of-books", ttl=10, owner="closing")

        def close(term: Grant) -> None:
            self._stop.wait(chance.uniform(5, 20))
            term.ensure_held()

        while not self._stop.is_set():
            try:
                standing.run(close, stop=self._stop)
            except CoordinationError as error:
                logger.debug("closing: %s", error)
            self._stop.wait(RETRY_S)


def _file(chance: random.Random) -> str:
    """A file, the first ones much more often than the last."""
    return f"file:{1 + int(FILES * chance.random() ** 3)}"
