"""Participants, most of them with one defect, and the contract of each. Run by `test_planted`."""

import sqlite3
import uuid
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest

from coordination import TCC, counter, participant
from coordination.testing import ParticipantContract, participant_contract
from coordination.transactions.context import Context
from tests.contract.participants.defects import contract_of
from tests.contract.participants.planting import SERVICES
from tests.integration import ledger

PATIENCE_S = 1.0


def amounts() -> dict[str, int]:
    return {using: ledger.amount(using) for using in ("bank_a", "bank_b")}


def take(using: str, cents: int) -> None:
    ledger.execute(using, "UPDATE ledger SET amount = amount - %s WHERE id = 1", cents)


def defect(name: str, **more: Any) -> None:
    """The contract of a participant that breaks a rule."""
    given: dict[str, Any] = {"args": lambda: {"cents": 1}, "observe": amounts} | more
    made = participant_contract(name, **given)
    made.patience = PATIENCE_S
    globals()[contract_of(name)] = made


def held(name: str) -> Callable[[], list[int]]:
    """What a service's account holds."""
    path = SERVICES[name][1]

    def observe() -> list[int]:
        with closing(sqlite3.connect(path, timeout=10)) as database:
            return list(database.execute("SELECT cents, held FROM account").fetchone())

    return observe


# What keeps every rule


class Held(TCC):
    name = "plant.held"
    using = "bank_b"

    def reserve(self, ctx: Context, cents: int) -> None:
        take(self.using, cents)
        if cents > 100:
            ctx.vote_no("too much")

    def confirm(self, ctx: Context, cents: int) -> None:
        pass

    def cancel(self, ctx: Context, cents: int) -> None:
        take(self.using, -cents)


held_contract = participant_contract(
    "plant.held",
    args=lambda: {"cents": 1},
    observe=amounts,
    refused_args=lambda: {"cents": 101},
    disturb=lambda: take("bank_b", 1),
)


class Light(Held):
    """On SQLite, where two who write wait for each other."""

    name = "plant.light"
    using = "lite"


@pytest.mark.usefixtures("lite")
class TestLight(ParticipantContract):
    participant = "plant.light"

    def args(self) -> dict[str, int]:
        return {"cents": 1}

    def observe(self) -> int:
        return ledger.amount("lite")

    def refused_args(self) -> dict[str, int]:
        return {"cents": 101}


class TestPrepared(ParticipantContract):
    participant = "test.a.add"

    def args(self) -> dict[str, int]:
        return {"cents": -1}

    def observe(self) -> str:
        return f"{ledger.amount('bank_a')} cents"

    def effect(self, before: str) -> str:
        return f"{int(before.split(maxsplit=1)[0]) - 1} cents"

    def refused_args(self) -> dict[str, int]:
        return {"cents": -500}


TestCalled = participant_contract(
    "far.good.add",
    args=lambda: {"account": "a", "cents": -1},
    observe=held("good"),
    refused_args=lambda: {"account": "a", "cents": -5_000},
)

COUNTER = f"plant-{uuid.uuid4()}"
TestCounted = participant_contract(
    "concord.counter.add",
    args=lambda: {"counter": COUNTER, "amount": 2},
    observe=lambda: counter(COUNTER).get(),
)


# What breaks one


@participant("plant.commits", using="bank_b")
def commits(ctx: Context, cents: int) -> None:
    take("bank_b", cents)
    ledger.execute("bank_b", "COMMIT")


defect("plant.commits")


@participant("plant.elsewhere", using="bank_b")
def elsewhere(ctx: Context, cents: int) -> None:
    take("bank_a", cents)
    take("bank_b", cents)
    if cents > 100:
        ctx.vote_no("too much")


defect("plant.elsewhere")


@participant("plant.traces", using="bank_b")
def traces(ctx: Context, cents: int) -> None:
    elsewhere(ctx, cents)


defect("plant.traces", refused_args=lambda: {"cents": 101})


@participant("plant.looks", using="bank_b")
def looks(ctx: Context, cents: int) -> None:
    ledger.amount("bank_b")


defect("plant.looks")
defect("test.b.add", args=lambda: {"cents": Decimal(1)})


class Blind(Held):
    """Nobody can see what it does."""

    name = "plant.blind"


defect("plant.blind", observe=lambda: 7)


class Keeps(Held):
    """Its cancel gives nothing back."""

    name = "plant.keeps"

    def cancel(self, ctx: Context, cents: int) -> None:
        pass


defect("plant.keeps")


class Refuses(Held):
    """Its confirm looks at what its reserve should have set aside."""

    name = "plant.refuses"

    def reserve(self, ctx: Context, cents: int) -> None:
        ledger.execute("bank_b", "UPDATE ledger SET amount = amount WHERE id = 1")

    def confirm(self, ctx: Context, cents: int) -> None:
        if ledger.amount("bank_b") < -1_000_000:
            ctx.vote_no("it is gone")
        take("bank_b", cents)

    def cancel(self, ctx: Context, cents: int) -> None:
        pass


defect(
    "plant.refuses",
    disturb=lambda: take("bank_b", 100_000_000),
)


class ConfirmsElsewhere(Held):
    """Its confirm works in a database that its barrier is not in."""

    name = "plant.confirms-elsewhere"

    def confirm(self, ctx: Context, cents: int) -> None:
        take("bank_a", -cents)


defect("plant.confirms-elsewhere")


class CancelsElsewhere(Held):
    name = "plant.cancels-elsewhere"

    def reserve(self, ctx: Context, cents: int) -> None:
        take("bank_a", cents)

    def cancel(self, ctx: Context, cents: int) -> None:
        take("bank_a", -cents)


defect("plant.cancels-elsewhere")


class ReservesElsewhere(CancelsElsewhere):
    name = "plant.reserves-elsewhere"


class ReservesAbroad(CancelsElsewhere):
    name = "plant.reserves-abroad"


defect("plant.reserves-elsewhere")
defect("plant.reserves-abroad")

for _name in SERVICES:
    if _name != "good":
        defect(
            f"far.{_name}.add",
            args=lambda: {"account": "a", "cents": -1},
            observe=held(_name),
        )
