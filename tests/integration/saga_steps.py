"""Steps of sagas that move money in the ledgers, and a journal of what they did, in order."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from celery import signature

from coordination import TCC, Saga, participant
from coordination.transactions.context import Context
from tests.integration import ledger
from tests.integration.ledger import ALIASES, execute

JOURNAL = """
CREATE TABLE journal (
    at timestamptz NOT NULL DEFAULT clock_timestamp(), step text NOT NULL, did text NOT NULL)"""

hooks: dict[str, Callable[[], None]] = {}
"""What happens in a step of this process, by `<step>.<action or compensate>`."""


@contextmanager
def journals() -> Iterator[None]:
    """Ledgers of 100 in each database, and an empty journal beside."""
    hooks.clear()
    with ledger.ledgers():
        for using in ALIASES:
            execute(using, JOURNAL)
        try:
            yield
        finally:
            hooks.clear()
            for using in ALIASES:
                ledger.sweep_prepared(using)
                execute(using, "DROP TABLE journal")


def journal() -> list[str]:
    """What was done and not rolled back, in order: all databases are one server's."""
    rows = [row for using in ALIASES for row in execute(using, "SELECT * FROM journal")]
    return [f"{did} {step}" for _, step, did in sorted(rows)]


def total() -> int:
    return sum(ledger.amount(using) for using in ALIASES)


def write(using: str, step: str, did: str, cents: int) -> None:
    execute(using, "UPDATE ledger SET amount = amount + %s WHERE id = 1", cents)
    execute(using, "INSERT INTO journal (step, did) VALUES (%s, %s)", step, did)
    hooks.get(f"{step}.{did}", lambda: None)()


class Moves(Saga):
    """An action that changes an amount, and a compensation that changes it back."""

    def action(self, ctx: Context, step: str, cents: int, refuse: bool = False) -> None:
        write(self.using, step, "action", cents)
        if refuse:
            ctx.vote_no("asked to refuse")

    def compensate(self, ctx: Context, step: str, cents: int, refuse: bool = False) -> None:
        write(self.using, step, "compensate", -cents)


class MoveA(Moves):
    name = "test.saga.a"
    using = "bank_a"


class MoveB(Moves):
    name = "test.saga.b"
    using = "bank_b"


class MoveHome(Moves):
    name = "test.saga.home"
    using = "default"


class ShipA(Saga):
    """A step that nothing undoes."""

    name = "test.saga.ship_a"
    using = "bank_a"

    def action(self, ctx: Context, step: str, cents: int, refuse: bool = False) -> None:
        write(self.using, step, "action", cents)
        if refuse:
            ctx.vote_no("asked to refuse")


class ShipB(Saga):
    """Another one, in another database."""

    name = "test.saga.ship_b"
    using = "bank_b"

    def action(self, ctx: Context, step: str, cents: int) -> None:
        write(self.using, step, "action", cents)


class HoldB(TCC):
    """Three steps that write the journal."""

    name = "test.saga.hold_b"
    using = "bank_b"

    def reserve(self, ctx: Context, step: str, cents: int) -> None:
        write(self.using, step, "reserve", cents)

    def confirm(self, ctx: Context, step: str, cents: int) -> None:
        write(self.using, step, "confirm", 0)

    def cancel(self, ctx: Context, step: str, cents: int) -> None:
        write(self.using, step, "cancel", -cents)


@participant("test.saga.xa_a", using="bank_a")
def prepared_a(ctx: Context, step: str, cents: int) -> None:
    write("bank_a", step, "prepared", cents)


class Signs(Moves):
    """A step that leaves something to run after the commit."""

    def action(self, ctx: Context, step: str, cents: int, refuse: bool = False) -> None:
        super().action(ctx, step, cents, refuse)
        ctx.after_commit(signature("test.signed", args=[step], queue="test.signed"))


class SignsA(Signs):
    name = "test.saga.signs_a"
    using = "bank_a"


class SignsB(Signs):
    name = "test.saga.signs_b"
    using = "bank_b"
