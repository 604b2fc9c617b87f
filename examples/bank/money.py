"""Amounts of the bank, in integer cents."""

OPENING_SAVINGS = 50_000
OPENING_CHECKING = 50_000
OPENING = OPENING_SAVINGS + OPENING_CHECKING
"""What a new account holds; the conserved total is this times the number of accounts."""

OVERDRAFT_FEE = 100
OVERDRAFT_LIMIT = 10_000
"""How far checking may go below zero by checks and their fees."""

DEPOSIT_MAX = 20_000
PAYMENT_MAX = 5_000
"""The largest amounts the mix draws. Deposits are larger, or accounts emptied by an amalgamate
would stay poor and most payments be voted down."""

CENTS_MAX = 2**53 - 1
"""The largest amount a participant accepts, Concord's bound for stored integers."""


def in_units(cents: int) -> str:
    """`-1234` as "-12.34", with thousands separated."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100:,}.{abs(cents) % 100:02}"
