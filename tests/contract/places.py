"""Where a branch can work: each mode on the databases it works on, behind one face."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import connections

from coordination.kernel.gids import branch_gid
from coordination.transactions.branches import saga, tcc, xa
from coordination.transactions.context import Context
from coordination.transactions.machine import Local
from coordination.transactions.participants import Participant
from coordination.transactions.types import Ballot, Form, Mode, Outcome, Result, Vote, Work

LITE = "lite"
_numbers = itertools.count(1)


@contextmanager
def sqlite(folder: Path) -> Iterator[None]:
    """A SQLite database as alias `lite`, with the participants' tables of Concord."""
    entry = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(folder / "lite.sqlite3")}
    # A copy of our own: Django fills in what an entry leaves out.
    whole = connections.configure_settings({"default": entry, LITE: dict(entry)})
    connections.settings[LITE] = whole[LITE]
    try:
        call_command("migrate", "coordination", database=LITE, verbosity=0)
        yield
    finally:
        connections[LITE].close()
        del connections[LITE], connections.settings[LITE]


def answering(work: Work, body: Vote) -> Work:
    """The same branch with a body that would answer so."""
    return replace(work, args={"answer": str(body)})


def late(work: Work) -> Work:
    """The same branch, its deadline passed."""
    return replace(work, remaining_ms=0)


def execute(using: str, sql: str, *params: Any) -> list[tuple[Any, ...]]:
    with connections[using].cursor() as cursor:
        cursor.execute(sql, params or None)
        return cursor.fetchall() if cursor.description else []


@dataclass
class Place(ABC):
    """One mode on one database. The work of a branch is 10 on an account that starts at 0."""

    using: str
    mode: Mode
    form: Form = Form.PREPARE
    runs: int = 0
    meanwhile: Callable[[], None] = field(default=lambda: None)
    """What happens while a body is running."""
    ending: Callable[[], None] = field(default=lambda: None)
    """What happens in confirm and cancel."""

    @contextmanager
    def open(self) -> Iterator[None]:
        execute(self.using, "CREATE TABLE account (held int NOT NULL, kept int NOT NULL)")
        execute(self.using, "INSERT INTO account VALUES (0, 0)")
        try:
            yield
        finally:
            self.tidy()
            execute(self.using, "DROP TABLE account")

    def work(self, *, answer: Vote = Vote.YES, remaining_ms: int = 30_000) -> Work:
        return Work(
            gid=f"place-{next(_numbers):08x}-{0:016x}",
            seq=1,
            participant="test.place",
            using=self.using,
            mode=self.mode,
            form=self.form,
            args={"answer": str(answer)},
            remaining_ms=remaining_ms,
        )

    def body(self, ctx: Context, answer: str) -> None:
        self.runs += 1
        if answer == Vote.READ_ONLY:
            execute(self.using, "SELECT held FROM account")
        else:
            execute(self.using, "UPDATE account SET held = held + 10")
        self.meanwhile()
        if answer == Vote.NO:
            ctx.vote_no("asked to refuse")

    @property
    def account(self) -> tuple[int, int]:
        return execute(self.using, "SELECT held, kept FROM account")[0]

    @property
    def worked(self) -> Local:
        """The state in which its work is durable and may still be undone."""
        return Local.DONE if self.mode is Mode.SAGA else Local.PREPARED

    @property
    def states(self) -> tuple[Local, ...]:
        """Those its database can be in."""
        if self.mode is Mode.SAGA:
            return Local.IDLE, Local.DONE, Local.TOMBSTONE
        return Local.IDLE, Local.PREPARED, Local.COMMITTED, Local.TOMBSTONE

    @property
    @abstractmethod
    def participant(self) -> Participant: ...

    @abstractmethod
    def prepare(self, work: Work) -> Ballot: ...

    @abstractmethod
    def finish(self, work: Work, outcome: Outcome) -> Result: ...

    @abstractmethod
    def local(self, work: Work) -> Local:
        """What the database itself knows of the branch."""

    @abstractmethod
    def ended_by_a_stranger(self, work: Work, outcome: Outcome) -> None:
        """End the prepared branch behind Concord's back."""

    @abstractmethod
    def tidy(self) -> None: ...


class XA(Place):
    @property
    def participant(self) -> Participant:
        return Participant(name="test.place", using=self.using, mode=Mode.XA, body=self.body)

    def prepare(self, work: Work) -> Ballot:
        return xa.prepare(work, self.participant)

    def finish(self, work: Work, outcome: Outcome) -> Result:
        return xa.finish(work, outcome)

    def local(self, work: Work) -> Local:
        gid = branch_gid(work.gid, work.seq)
        sql = "SELECT 1 FROM pg_prepared_xacts WHERE gid = %s AND database = current_database()"
        if execute(self.using, sql, gid):
            return Local.PREPARED
        rows = execute(self.using, "SELECT kind FROM concord_witness WHERE branch_gid = %s", gid)
        return {(): Local.IDLE, ("W",): Local.COMMITTED, ("A",): Local.TOMBSTONE}[
            tuple(kind for (kind,) in rows)
        ]

    def ended_by_a_stranger(self, work: Work, outcome: Outcome) -> None:
        verb = "COMMIT" if outcome is Outcome.COMMITTED else "ROLLBACK"
        execute(self.using, f"{verb} PREPARED '{branch_gid(work.gid, work.seq)}'")

    def tidy(self) -> None:
        sql = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
        for (gid,) in execute(self.using, sql):
            execute(self.using, f"ROLLBACK PREPARED '{gid}'")


class TCC(Place):
    @property
    def participant(self) -> Participant:
        return Participant(
            name="test.place",
            using=self.using,
            mode=Mode.TCC,
            body=self.body,
            confirm=self.confirm,
            cancel=self.cancel,
        )

    def confirm(self, ctx: Context, answer: str) -> None:
        execute(self.using, "UPDATE account SET held = held - 10, kept = kept + 10")
        self.ending()

    def cancel(self, ctx: Context, answer: str) -> None:
        execute(self.using, "UPDATE account SET held = held - 10")
        self.ending()

    def prepare(self, work: Work) -> Ballot:
        return tcc.prepare(work, self.participant)

    def finish(self, work: Work, outcome: Outcome) -> Result:
        return tcc.finish(work, outcome, self.participant)

    def local(self, work: Work) -> Local:
        sql = "SELECT op, reason FROM concord_barrier WHERE branch_gid = %s"
        barriers = dict(execute(self.using, sql, branch_gid(work.gid, work.seq)))
        if not barriers:
            return Local.IDLE
        if "cancel" in barriers or barriers["try"] == "cancel":
            return Local.TOMBSTONE
        return Local.COMMITTED if "confirm" in barriers else Local.PREPARED

    def ended_by_a_stranger(self, work: Work, outcome: Outcome) -> None:
        self.finish(work, outcome)

    def tidy(self) -> None:
        pass


class Saga(TCC):
    """The same with an action for a reserve, and a compensation for a cancel."""

    @property
    def participant(self) -> Participant:
        return Participant(
            name="test.place",
            using=self.using,
            mode=Mode.SAGA,
            body=self.body,
            cancel=self.cancel,
        )

    def prepare(self, work: Work) -> Ballot:
        return saga.prepare(work, self.participant)

    def finish(self, work: Work, outcome: Outcome) -> Result:
        if self.form is Form.FORWARD and outcome is Outcome.COMMITTED:
            return saga.forward(work, self.participant)
        return saga.finish(work, outcome, self.participant)

    def local(self, work: Work) -> Local:
        left = super().local(work)
        return Local.DONE if left is Local.PREPARED else left


def places() -> list[Place]:
    """One of each kind."""
    return [
        XA(using="bank_a", mode=Mode.XA),
        TCC(using="bank_b", mode=Mode.TCC),
        TCC(using=LITE, mode=Mode.TCC),
        Saga(using="bank_b", mode=Mode.SAGA),
        Saga(using=LITE, mode=Mode.SAGA),
    ]
