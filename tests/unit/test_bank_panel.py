"""The dashboard's panel of the bank: what it says of a total read while money moves."""

from examples.bank import money
from examples.bank.panel import WHOLE_WITHIN_S, TotalPanel
from examples.bank.totals import Sum, Total


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def total_with(*, missing: int, accounts: int = 1) -> Total:
    return Total(
        sums=tuple(
            Sum(
                alias=alias,
                accounts=accounts,
                savings=accounts * money.OPENING - lost,
                checking=0,
                fees=0,
                cash=0,
            )
            for alias, lost in (("bank_a", missing), ("bank_b", 0))
        )
    )


def test_a_whole_total_is_ok():
    rows = TotalPanel().describe(total_with(missing=0), prepared=0)

    assert rows[0]["value"] == "2,000.00 of 2,000.00"
    assert [row["state"] for row in rows[:2]] == ["ok", "idle"]


def test_a_gap_is_shown_as_money_in_flight():
    rows = TotalPanel().describe(total_with(missing=1234), prepared=1)

    assert rows[1]["value"] == "12.34, 1 prepared branch"
    assert [row["state"] for row in rows[:2]] == ["busy", "busy"]


def test_a_gap_that_stays_asks_for_attention_and_a_whole_total_ends_it():
    clock = FakeClock()
    panel = TotalPanel(clock)

    states = []
    for missing, pause in ((0, 1.0), (500, WHOLE_WITHIN_S), (500, 1.0), (0, 1.0), (500, 1.0)):
        states.append(panel.describe(total_with(missing=missing), prepared=1)[0]["state"])
        clock.now += pause

    assert states == ["ok", "busy", "wait", "ok", "busy"]


def test_a_bank_without_accounts_proves_nothing():
    rows = TotalPanel().describe(total_with(missing=0, accounts=0), prepared=0)

    assert rows[0]["state"] == "unknown"
