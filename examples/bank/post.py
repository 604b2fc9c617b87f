"""The bank's post room, which keeps two queues alive: statements to be sent, and reminders.

Some addresses fail at times and a few always do, so that there are failed attempts, delays and dead
letters; what becomes of them is to be seen on the dashboard.
"""

import logging
import random
import threading
import time
from collections.abc import Callable

from coordination import Message, queue
from coordination.exceptions import CoordinationError
from coordination.queues.api import Queue
from coordination.queues.delivery import Delivery

logger = logging.getLogger(__name__)

SENDERS = 8
LETTERS_KEPT = 12
"""Dead letters beyond these are answered by hand, so that a demo that runs for days stays small."""
ANSWER_S = 5.0
RETRY_S = 2.0
FAILS_AT_TIMES, FAILS_ALWAYS = 0.04, 0.004
TOWNS = ("Aachen", "Bern", "Calais", "Delft", "Essen")


def statements() -> Queue:
    """Statements of accounts, to be sent."""
    return queue("bank.statements", visibility=10, max_attempts=3)


class Post:
    """Publishes so many statements a second and sends them; each part is a thread."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._stop = threading.Event()
        self._statements = statements()
        self._reminders = queue("bank.reminders", visibility=30, max_attempts=5)
        works: list[Callable[[], None]] = [
            *(self._write, self._remind, self._answer_dead_letters),
            lambda: self._send(self._statements, SENDERS),
            lambda: self._send(self._reminders, 1),
        ]
        self._threads = [
            threading.Thread(target=self._for_ever, args=(work,), daemon=True)
            for work in (works if per_second > 0 else [])
        ]

    def start(self) -> None:
        """Let them begin."""
        for thread in self._threads:
            thread.start()

    def stop(self, *, within_s: float) -> None:
        """Let them finish what is under way."""
        self._stop.set()
        ends = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, ends - time.monotonic()))

    def _for_ever(self, work: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                work()
            except CoordinationError as error:
                logger.debug("post: %s", error)
                self._stop.wait(RETRY_S)

    def _write(self) -> None:
        """A few statements at once, as bookings come."""
        chance = random.Random()
        many = chance.choice([1, 1, 2, 4])
        self._statements.publish_many([_statement(chance) for _ in range(many)])
        self._stop.wait(chance.expovariate(self._per_second / many))

    def _remind(self) -> None:
        """A reminder that is sent later, one after the other for each customer."""
        chance = random.Random()
        customer = chance.randint(1, 40)
        reminder = Message({"customer": customer}, delay=20, group=f"customer-{customer}")
        self._reminders.publish_many([reminder])
        self._stop.wait(chance.uniform(2, 6))

    def _send(self, of: Queue, senders: int) -> None:
        of.run(self._deliver, concurrency=senders, stop=self._stop)

    def _deliver(self, message: Delivery) -> None:
        chance = random.Random(f"{message.id} {message.attempts}")
        self._stop.wait(chance.uniform(0.2, 1.2))
        # The same for each of its attempts: a bad address stays one.
        if random.Random(message.id).random() < FAILS_ALWAYS:
            message.nack(error="NoSuchAddress: nobody of that name lives there")
        elif chance.random() < FAILS_AT_TIMES:
            message.nack(error="Timeout: the post office did not answer in 10 s")

    def _answer_dead_letters(self) -> None:
        """Somebody works through the oldest of them, when they become many."""
        letters = queue("bank.statements.dlq")
        if letters.stats().ready > LETTERS_KEPT:
            letters.ack(letters.reserve())
        self._stop.wait(ANSWER_S)


def _statement(chance: random.Random) -> dict[str, object]:
    account = chance.randint(1, 200)
    return {"account": account, "month": "2026-11", "to": chance.choice(TOWNS)}
