"""What one writes with Celery alone: prepare everywhere, then commit everywhere. An agent's module.

No outcome is recorded, so a crash leaves prepared transactions to be guessed about. The forms are
the ways to wait for results; the last one returns before anything is committed.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from functools import partial

from celery import chord
from celery.result import AsyncResult

from bench import tasks
from bench.chunks import Case
from bench.crew import Crew
from bench.rows import turns
from bench.transactions.names import CHORDS, GETS, UNAWAITED
from bench.transactions.settling import prepared, wait_for_none
from config.celery import app

PARTICIPANTS = ("bank_a", "bank_b")

_numbers = itertools.count()

Transaction = Callable[[str, int], None]


def cases() -> list[Case]:
    """One caller in each form."""
    app.set_current()
    settle = partial(wait_for_none, prepared)
    forms = {CHORDS: by_chords, GETS: by_gets, UNAWAITED: by_gets_unawaited}
    return [
        Crew(name, partial(_make, form), chunk_s=0.3, settle=settle) for name, form in forms.items()
    ]


def _make(form: Transaction, part: int, parts: int) -> Callable[[], None]:
    return partial(_run, form, turns(part, parts))


def _run(form: Transaction, rows: Iterator[int]) -> None:
    form(f"naive-{os.getpid()}-{next(_numbers)}", next(rows))


def by_chords(gid: str, row: int) -> None:
    """A chord of prepares, then a chord of commits."""
    signatures = [tasks.prepare.s(using, f"{gid}-{using}", row) for using in PARTICIPANTS]
    _require(chord(signatures)(tasks.every.s()).get())
    signatures = [tasks.commit.s(using, f"{gid}-{using}") for using in PARTICIPANTS]
    _require(chord(signatures)(tasks.every.s()).get())


def by_gets(gid: str, row: int) -> None:
    """Both tasks of a phase sent at once, then each result fetched."""
    _prepare(gid, row)
    for result in _commit(gid):
        _require(result.get())


def by_gets_unawaited(gid: str, row: int) -> None:
    """As `by_gets`, but nobody looks whether the commits were done."""
    _prepare(gid, row)
    for result in _commit(gid):
        result.forget()


def _prepare(gid: str, row: int) -> None:
    sent = [tasks.prepare.delay(using, f"{gid}-{using}", row) for using in PARTICIPANTS]
    for result in sent:
        _require(result.get())


def _commit(gid: str) -> list[AsyncResult[bool]]:
    return [tasks.commit.delay(using, f"{gid}-{using}") for using in PARTICIPANTS]


def _require(answer: object) -> None:
    if answer is not True:
        raise RuntimeError(f"a task answered {answer!r}")
