"""Registers of days of which no transaction is left are forgotten; those of others never."""

import time

import pytest

from coordination import conf, distributed_transaction
from coordination.exceptions import RegisterForgotten
from coordination.kernel.gids import Electorate
from coordination.transactions.registers import oblivion, votes
from coordination.transactions.types import Ballot, Outcome, Vote
from tests.databases import ALIASES
from tests.integration import ledger

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

TODAY = int(time.time() // oblivion.DAY_S)
GID = "bank-00000000-0000000000000000"
AGED = "UPDATE concord_transaction SET created_at = now() - %s * interval '1 day'"


def voted(days_ago: int) -> Electorate:
    electorate = Electorate(branches=1, period=TODAY - days_ago)
    votes.chosen(GID, electorate, [Ballot(seq=1, vote=Vote.YES)])
    return electorate


def begin(days_ago: int) -> None:
    with distributed_transaction("move", protocol="paxos") as tx:
        tx.enlist("test.a.add", cents=1)
    ledger.execute("default", AGED, days_ago)


@pytest.fixture(autouse=True)
def retention(redis_quorum: str) -> int:
    """In days, as the settings have it."""
    return conf.current().transactions.retention_ms // (oblivion.DAY_S * 1000)


def test_what_is_older_than_the_retention_is_forgotten(retention: int) -> None:
    old, young = voted(retention + 10), voted(retention - 1)
    begin(days_ago=0)
    oblivion.forget()

    with pytest.raises(RegisterForgotten):
        votes.outcome(GID, old)
    assert votes.outcome(GID, young) is Outcome.COMMITTED


def test_nothing_is_forgotten_of_days_of_which_a_transaction_is_left(retention: int) -> None:
    old = voted(retention + 10)
    begin(days_ago=retention + 10)
    oblivion.forget()

    assert votes.outcome(GID, old) is Outcome.COMMITTED


def test_where_no_transaction_is_left_the_retention_counts(retention: int) -> None:
    old = voted(retention + 10)
    oblivion.forget()

    with pytest.raises(RegisterForgotten):
        votes.outcome(GID, old)


def test_what_comes_late_for_a_forgotten_day_is_refused(retention: int) -> None:
    old = voted(retention + 10)
    oblivion.forget()

    with pytest.raises(RegisterForgotten):
        votes.chosen(GID, old, [Ballot(seq=1, vote=Vote.YES)])
