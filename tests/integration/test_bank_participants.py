"""What each step of the bank does to its database, and what it refuses."""

from types import MappingProxyType

import pytest

from coordination.transactions import participants
from coordination.transactions.context import Context, VotedNo
from examples.bank import money
from examples.bank.homes import ALIASES, home_of
from examples.bank.mix import Choice, Holdings, Operation, legs
from examples.bank.models import Account, Drawer
from examples.bank.seeding import seed
from examples.bank.totals import total

pytestmark = pytest.mark.django_db(databases=["default", *ALIASES])

OPEN = money.OPENING_CHECKING


@pytest.fixture(autouse=True)
def accounts():
    seed(4)


def run(participant: str, **arguments: object) -> None:
    context = Context(gid="bank-test", branch="bank-test:1", remaining_ms=10_000)
    participants.lookup(participant).body(context, **arguments)


def account(number: int) -> MappingProxyType[str, int]:
    row = Account.objects.using(home_of(number).alias).get(pk=number)
    return MappingProxyType({"savings": row.savings, "checking": row.checking, "fees": row.fees})


def test_every_leg_of_the_mix_names_a_participant_that_takes_its_arguments():
    for operation in Operation:
        for number, peer in ((1, 2), (2, 1)):
            choice = Choice(operation=operation, account=number, peer=peer, drawer=1, cents=5)
            for leg in legs(choice, Holdings(savings=1, checking=1)):
                participants.lookup(leg.participant).check_arguments(leg.arguments)


def test_a_deposit_adds_to_checking():
    run("bank.a.deposit", account=2, cents=250)

    assert account(2) == {"savings": money.OPENING_SAVINGS, "checking": OPEN + 250, "fees": 0}


def test_a_withdrawal_takes_all_there_is_and_no_more():
    run("bank.b.withdraw", account=3, cents=OPEN)
    with pytest.raises(VotedNo, match=r"^insufficient funds$"):
        run("bank.b.withdraw", account=3, cents=1)

    assert account(3)["checking"] == 0


def test_savings_stay_at_zero_or_above():
    run("bank.a.transact_savings", account=2, cents=-money.OPENING_SAVINGS)
    with pytest.raises(VotedNo, match=r"^insufficient funds$"):
        run("bank.a.transact_savings", account=2, cents=-1)
    run("bank.a.transact_savings", account=2, cents=7)

    assert account(2)["savings"] == 7


def test_a_check_that_savings_cover_costs_no_fee():
    run("bank.a.write_check", account=2, cents=OPEN + money.OVERDRAFT_LIMIT)

    assert account(2)["checking"] == -money.OVERDRAFT_LIMIT
    assert account(2)["fees"] == 0


def test_a_check_beyond_both_balances_costs_a_fee_that_stays_in_the_bank():
    Account.objects.using("bank_a").filter(pk=2).update(savings=0, checking=100)
    before = total().cents
    run("bank.a.write_check", account=2, cents=500)

    assert account(2) == {
        "savings": 0,
        "checking": -400 - money.OVERDRAFT_FEE,
        "fees": money.OVERDRAFT_FEE,
    }
    assert total().cents == before - 500


def test_the_fee_counts_towards_the_overdraft_limit():
    Account.objects.using("bank_a").filter(pk=2).update(savings=0, checking=0)
    with pytest.raises(VotedNo, match=r"^insufficient funds$"):
        run("bank.a.write_check", account=2, cents=money.OVERDRAFT_LIMIT)
    run("bank.a.write_check", account=2, cents=money.OVERDRAFT_LIMIT - money.OVERDRAFT_FEE)

    assert account(2)["checking"] == -money.OVERDRAFT_LIMIT


def test_closing_out_empties_the_account_as_it_was_read():
    run("bank.b.close_out", account=1, savings=money.OPENING_SAVINGS, checking=OPEN)

    assert account(1) == {"savings": 0, "checking": 0, "fees": 0}


def test_closing_out_is_refused_when_a_balance_has_moved():
    with pytest.raises(VotedNo, match=r"^balance has moved$"):
        run("bank.b.close_out", account=1, savings=money.OPENING_SAVINGS, checking=OPEN - 1)


def test_closing_out_debts_is_refused():
    with pytest.raises(VotedNo, match=r"^insufficient funds$"):
        run("bank.b.close_out", account=1, savings=0, checking=-5)


def test_cash_may_go_below_zero():
    run("bank.b.cash", drawer=1, cents=-900)

    assert Drawer.objects.using("bank_b").get(pk=1).cash == -900


def test_a_balance_changes_nothing():
    before = total()
    run("bank.a.balance", account=2)

    assert total() == before


@pytest.mark.parametrize(
    ("participant", "arguments"),
    [
        ("bank.a.balance", {"account": 998}),
        ("bank.a.deposit", {"account": 998, "cents": 1}),
        ("bank.a.withdraw", {"account": 998, "cents": 1}),
        ("bank.a.transact_savings", {"account": 998, "cents": 1}),
        ("bank.a.write_check", {"account": 998, "cents": 1}),
        ("bank.a.close_out", {"account": 998, "savings": 1, "checking": 0}),
        ("bank.a.cash", {"drawer": 998, "cents": 1}),
    ],
)
def test_what_does_not_exist_is_named_in_the_vote(participant, arguments):
    with pytest.raises(VotedNo, match=r"^unknown (account|drawer) 998$"):
        run(participant, **arguments)


@pytest.mark.parametrize("cents", [0, -1, 2**53, 1.5, True, "5", None])
def test_an_amount_that_is_none_is_refused_before_anything_changes(cents):
    before = total()
    with pytest.raises((TypeError, ValueError), match="cents must be"):
        run("bank.a.deposit", account=2, cents=cents)

    assert total() == before


def test_an_account_of_the_other_database_is_refused():
    with pytest.raises(ValueError, match="account 1 does not live in bank_a"):
        run("bank.a.deposit", account=1, cents=5)


def test_seeding_again_opens_only_missing_accounts():
    run("bank.a.withdraw", account=2, cents=5)
    seed(6)

    assert account(2)["checking"] == OPEN - 5
    assert [part.accounts for part in total().sums] == [3, 3]
    assert total().in_flight == 5
