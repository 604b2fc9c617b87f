"""A no, an abort and a pivot's word are one outcome, though the row is not what decides."""

from collections.abc import Callable, Iterator

import pytest

from coordination import distributed_transaction
from coordination.exceptions import TransactionAborted
from coordination.transactions import operations
from coordination.transactions.coordinator import store
from coordination.transactions.registers import elsewhere
from coordination.transactions.tables import Transaction
from coordination.transactions.types import Actual, Ballot, Outcome, Standing, Vote
from tests.contract.registers.test_outcomes import by_workers
from tests.contract.threads import at_once
from tests.databases import ALIASES
from tests.faults.dying import die_at
from tests.integration import broker, ledger, saga_steps
from tests.integration.saga_runs import sweep_until_it_ended
from tests.integration.saga_steps import hooks, journal

__all__ = ["die_at"]

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

AT_THE_REGISTER = "tx.register.after"
"""It holds the outcome, and the row does not know it yet."""


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    """In place of the plain ledgers: the same with a journal."""
    broker.clear()
    with saga_steps.journals():
        yield


@pytest.fixture(params=["zookeeper_registers", "redis_quorum"])
def register(request: pytest.FixtureRequest) -> str:
    name: str = request.getfixturevalue(request.param)
    return name


def order(register: str, *, refuse: bool = False) -> str:
    """A step, and the pivot after it."""
    with distributed_transaction("order", protocol="saga", register=register, deadline=60) as tx:
        tx.enlist("test.saga.a", step="1", cents=-10, refuse=refuse)
        tx.enlist("test.saga.ship_b", pivot=True, step="2", cents=4)
    return tx.gid


def only() -> Transaction:
    return Transaction.objects.get()


def asked_to_abort() -> Standing:
    """What a cancel or a deadline does first: the row says what the register is to be asked for."""
    (standing,) = at_once(
        lambda: store().decide(only().gid, Outcome.ABORTED, reason="cancelled", by="a test")
    )
    assert standing is not None
    return standing


def test_what_is_refused_before_the_pivot_ends_whoever_is_killed(
    die_at: Callable[..., None], register: str
) -> None:
    die_at(AT_THE_REGISTER, lambda: order(register, refuse=True))
    row = sweep_until_it_ended(only().gid)

    assert (row.outcome, row.heuristic, journal()) == ("aborted", "", [])


def test_a_pivot_is_not_asked_once_an_abort_is_on_its_way_to_the_register(register: str) -> None:
    canceller: list[Standing] = []
    hooks["1.action"] = lambda: canceller.append(asked_to_abort())
    # Paused until the pivot would have acted.
    hooks["2.action"] = lambda: at_once(lambda: _goes_on(canceller[0]))
    with pytest.raises(TransactionAborted):
        order(register)
    row = sweep_until_it_ended(only().gid)

    assert canceller[0].due is Outcome.ABORTED
    assert (row.outcome, row.heuristic) == ("aborted", "")
    assert journal() == ["action 1", "compensate 1"]


def _goes_on(standing: Standing) -> None:
    elsewhere.decide(only().gid, standing, reason="cancelled", by="a test")


def test_an_abort_whose_caller_died_before_the_register_ends_it_all_the_same(
    register: str,
) -> None:
    hooks["1.action"] = lambda: asked_to_abort() and None
    with pytest.raises(TransactionAborted):
        order(register)
    row = sweep_until_it_ended(only().gid)

    assert (row.outcome, row.heuristic, row.unfinished) == ("aborted", "", 0)
    assert journal() == ["action 1", "compensate 1"]


def test_once_the_pivot_is_asked_an_abort_waits_for_its_word(register: str) -> None:
    canceller: list[Standing] = []
    hooks["2.action"] = lambda: canceller.append(asked_to_abort())
    order(register)

    assert (canceller[0].outcome, canceller[0].due) == (None, None)
    assert (only().outcome, journal()) == ("committed", ["action 1", "action 2"])


@pytest.mark.parametrize("protocol", ["2pc", "3pc"])
def test_nobody_can_commit_what_has_a_no(register: str, protocol: str) -> None:
    """Who recorded the no died before it asked the register."""
    gid = by_workers({"protocol": protocol, "register": register})
    no = Ballot(seq=1, vote=Vote.NO, actual=Actual.ABORTED, reason="no room")
    store().vote(gid, [no], by="a test")
    resolution = operations.resolve(
        gid, outcome="committed", actor="ada", reason="everybody seems to agree"
    )

    assert resolution.outcome is Outcome.ABORTED
    assert (sweep_until_it_ended(gid).heuristic, ledger.amount("bank_a")) == ("", 100)
