"""The SmallBank mix: what it draws, and that no transaction creates or destroys money."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.bank.homes import DRAWERS, home_of
from examples.bank.mix import WEIGHTS, Choice, Holdings, Operation, choose, legs

choices = st.builds(
    lambda seed, accounts: choose(Random(seed), accounts=accounts),
    st.integers(),
    st.integers(min_value=2, max_value=500),
)
holdings = st.builds(
    Holdings,
    savings=st.integers(min_value=0, max_value=10**9),
    checking=st.integers(min_value=-10_000, max_value=10**9),
)


def choice_of(operation: Operation) -> Choice:
    return Choice(operation=operation, account=2, peer=5, drawer=3, cents=700)


def test_the_same_seed_draws_the_same_transactions():
    first, second = (
        [choose(random, accounts=200) for _ in range(100)]
        for random in (Random("7:0"), Random("7:0"))
    )

    assert first == second


def test_another_seed_draws_other_transactions():
    first, second = (
        [choose(random, accounts=200) for _ in range(100)]
        for random in (Random("7:0"), Random("8:0"))
    )

    assert first != second


@given(choices, holdings)
def test_the_legs_of_each_transaction_sum_to_zero(choice, held):
    assert sum(leg.cents for leg in legs(choice, held)) == 0


@given(choices, holdings)
def test_each_transaction_spans_both_databases_unless_there_is_nothing_to_move(choice, held):
    letters = {leg.participant.split(".")[1] for leg in legs(choice, held)}
    nothing = choice.operation is Operation.AMALGAMATE and held.total <= 0

    assert letters == ({home_of(choice.account).letter} if nothing else {"a", "b"})


@given(choices, holdings)
def test_each_account_is_sent_to_the_database_it_lives_in(choice, held):
    for leg in legs(choice, held):
        if "account" in leg.arguments:
            assert leg.participant.split(".")[1] == home_of(leg.arguments["account"]).letter


@given(st.integers(), st.integers(min_value=2, max_value=9))
def test_only_seeded_accounts_and_drawers_are_drawn(seed, accounts):
    choice = choose(Random(seed), accounts=accounts)

    assert 1 <= choice.account <= accounts
    assert 1 <= choice.peer <= accounts
    assert 1 <= choice.drawer <= DRAWERS


def test_operations_come_in_the_weights_of_smallbank():
    random = Random(1)
    drawn = [choose(random, accounts=200).operation for _ in range(20_000)]

    assert sum(WEIGHTS.values()) == 100
    for operation, percent in WEIGHTS.items():
        assert drawn.count(operation) / 200 == pytest.approx(percent, abs=1.5)


def test_a_payment_moves_checking_to_a_peer_in_the_other_database():
    paying, paid = legs(choice_of(Operation.SEND_PAYMENT))

    assert (paying.participant, paying.arguments) == (
        "bank.a.withdraw",
        {"account": 2, "cents": 700},
    )
    assert (paid.participant, paid.arguments) == ("bank.b.deposit", {"account": 5, "cents": 700})


def test_a_deposit_takes_its_cash_from_the_other_database():
    _, cash = legs(choice_of(Operation.DEPOSIT_CHECKING))

    assert (cash.participant, cash.arguments) == ("bank.b.cash", {"drawer": 3, "cents": -700})


def test_an_amalgamate_moves_both_balances():
    emptied, filled = legs(choice_of(Operation.AMALGAMATE), Holdings(savings=1000, checking=-300))

    assert emptied.arguments == {"account": 2, "savings": 1000, "checking": -300}
    assert filled.arguments == {"account": 5, "cents": 700}


def test_an_amalgamate_without_holdings_is_refused():
    with pytest.raises(ValueError, match="needs the holdings"):
        legs(choice_of(Operation.AMALGAMATE))
