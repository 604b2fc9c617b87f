"""The SmallBank mix: what the next transaction is and which branches it has.

Pure: the caller brings the random source, the same source gives the same choices. The cents of a
transaction's legs sum to zero; that is why the total of both databases is conserved.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

from examples.bank.homes import DRAWERS, home_of, other_home
from examples.bank.money import DEPOSIT_MAX, PAYMENT_MAX


class Operation(StrEnum):
    """The six transactions of SmallBank."""

    BALANCE = "balance"
    DEPOSIT_CHECKING = "deposit_checking"
    TRANSACT_SAVINGS = "transact_savings"
    AMALGAMATE = "amalgamate"
    WRITE_CHECK = "write_check"
    SEND_PAYMENT = "send_payment"


WEIGHTS: Mapping[Operation, int] = {
    Operation.BALANCE: 15,
    Operation.DEPOSIT_CHECKING: 15,
    Operation.TRANSACT_SAVINGS: 15,
    Operation.AMALGAMATE: 15,
    Operation.WRITE_CHECK: 15,
    Operation.SEND_PAYMENT: 25,
}
"""H-Store's default weights, in percent."""

WITHDRAWALS = 0.25
"""The share of transact savings that take money out; SmallBank's own only ever bring some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One drawn transaction; `peer` and the drawer are in the database `account` is not in."""

    operation: Operation
    account: int
    peer: int
    drawer: int
    cents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """The balances of an account in cents, as read before an amalgamate."""

    savings: int
    checking: int

    @property
    def total(self) -> int:
        return self.savings + self.checking


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One branch: its participant, that one's arguments, and what it adds to its database."""

    participant: str
    arguments: Mapping[str, Any]
    cents: int


def choose(random: Random, *, accounts: int) -> Choice:
    """Draw the next transaction over the accounts 1..`accounts` (at least two)."""
    operation = random.choices(tuple(WEIGHTS), weights=tuple(WEIGHTS.values()))[0]
    account = random.randint(1, accounts)
    cents = _draw_cents(random, operation)
    return Choice(
        operation=operation,
        account=account,
        peer=_peer(random, account, accounts),
        drawer=random.randint(1, DRAWERS),
        cents=cents,
    )


def legs(choice: Choice, holdings: Holdings | None = None) -> tuple[Leg, ...]:
    """The branches of `choice`; an amalgamate needs the account's `holdings` read just before.

    An amalgamate of nothing, or of debts, is one branch, which votes no.
    """
    account, peer, cents = choice.account, choice.peer, choice.cents
    match choice.operation:
        case Operation.BALANCE:
            return (_on_account("balance", account, 0), _on_account("balance", peer, 0))
        case Operation.DEPOSIT_CHECKING:
            return (_on_account("deposit", account, cents), _cash(choice, -cents))
        case Operation.TRANSACT_SAVINGS:
            return (_on_account("transact_savings", account, cents), _cash(choice, -cents))
        case Operation.WRITE_CHECK:
            return (_on_account("write_check", account, -cents), _cash(choice, cents))
        case Operation.SEND_PAYMENT:
            return (_on_account("withdraw", account, -cents), _on_account("deposit", peer, cents))
        case Operation.AMALGAMATE:
            if holdings is None:
                raise ValueError("an amalgamate needs the holdings of its account")
            return _amalgamate(account, peer, holdings)


def _draw_cents(random: Random, operation: Operation) -> int:
    if operation is Operation.TRANSACT_SAVINGS:
        withdraws = random.random() < WITHDRAWALS
        return -random.randint(1, PAYMENT_MAX) if withdraws else random.randint(1, DEPOSIT_MAX)
    return random.randint(
        1, DEPOSIT_MAX if operation is Operation.DEPOSIT_CHECKING else PAYMENT_MAX
    )


def _amalgamate(account: int, peer: int, holdings: Holdings) -> tuple[Leg, ...]:
    emptied = Leg(
        participant=f"bank.{home_of(account).letter}.close_out",
        arguments={
            "account": account,
            "savings": holdings.savings,
            "checking": holdings.checking,
        },
        cents=-max(holdings.total, 0),
    )
    if holdings.total <= 0:
        return (emptied,)
    return (emptied, _on_account("deposit", peer, holdings.total))


def _on_account(verb: str, account: int, cents: int) -> Leg:
    arguments = {"account": account}
    if verb == "transact_savings":
        arguments["cents"] = cents
    elif cents != 0:
        arguments["cents"] = abs(cents)
    return Leg(
        participant=f"bank.{home_of(account).letter}.{verb}", arguments=arguments, cents=cents
    )


def _cash(choice: Choice, cents: int) -> Leg:
    letter = other_home(home_of(choice.account)).letter
    return Leg(
        participant=f"bank.{letter}.cash",
        arguments={"drawer": choice.drawer, "cents": cents},
        cents=cents,
    )


def _peer(random: Random, account: int, accounts: int) -> int:
    """An account of the other parity, so that it lives in the other database."""
    if account % 2 == 0:
        return 1 + 2 * random.randrange((accounts + 1) // 2)
    return 2 + 2 * random.randrange(accounts // 2)
