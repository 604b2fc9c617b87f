"""A quorum whose servers are frozen, killed and cut off decides rightly, or says so."""

from collections.abc import Callable
from contextlib import ExitStack

import pytest

from coordination.consensus import admitting
from coordination.consensus.stores.paxos import PaxosRegisters
from coordination.consensus.types import (
    OPENING,
    Ballot,
    Register,
)
from coordination.exceptions import (
    OutcomeUnknown,
    StoreUnavailable,
)
from tests.consensus_faults import CELL, VOTE, frozen, kept_by, leave_half_done, within
from tests.consensus_stores import (
    NUMBERS,
    Quorum,
    _quorum_servers,
    elect,
    servers_of_quorum,
)
from tests.integration.losing_proxy import LosingProxy

__all__ = ["_quorum_servers", "elect", "servers_of_quorum"]

DEADLINE_S = 1.0
Elect = Callable[..., PaxosRegisters]


@pytest.fixture
def quorum(servers_of_quorum: Quorum, elect: Elect) -> PaxosRegisters:
    """Founded, with little patience."""
    return elect(servers_of_quorum.stores(), deadline_s=DEADLINE_S)


@pytest.mark.parametrize("register", [CELL, VOTE], ids=["classic", "opening"])
@pytest.mark.parametrize("victim", NUMBERS)
def test_one_frozen_acceptor_holds_up_nothing(
    quorum: PaxosRegisters, servers_of_quorum: Quorum, victim: str, register: Register
) -> None:
    with frozen(servers_of_quorum, victim), within(DEADLINE_S * 0.8):
        assert quorum.decide(register, "yes") == "yes"
        assert quorum.decide(register, "no") == "yes"
        assert quorum.read(register) == "yes"


def test_one_killed_acceptor_holds_up_nothing_and_comes_back_with_its_memory(
    quorum: PaxosRegisters, servers_of_quorum: Quorum
) -> None:
    quorum.decide(VOTE, "yes")
    for victim in NUMBERS:
        servers_of_quorum.servers[victim].kill()
        with within(DEADLINE_S * 0.8):
            assert quorum.read(VOTE) == "yes"
            assert quorum.decide(Register(name=victim), victim) == victim
        servers_of_quorum.heal()
    assert all(counts for _, counts, _ in admitting.describe(quorum, deadline_ms=2_000))
    for name in NUMBERS:
        assert quorum.read(Register(name=name)) == name


@pytest.mark.parametrize("ask", ["decide", "read"])
def test_without_a_majority_the_error_comes_in_time_and_healing_heals(
    quorum: PaxosRegisters, servers_of_quorum: Quorum, ask: str
) -> None:
    def asked() -> str | None:
        return quorum.decide(CELL, "yes") if ask == "decide" else quorum.read(CELL)

    with frozen(servers_of_quorum, "one", "three"), within(DEADLINE_S + 0.5):
        with pytest.raises(StoreUnavailable, match="no majority") as error:
            asked()
    assert error.value.applied is False
    for alias in ("one", "three"):
        servers_of_quorum.servers[alias].kill()
    with pytest.raises(StoreUnavailable):
        asked()
    servers_of_quorum.heal()
    assert asked() == ("yes" if ask == "decide" else None)


def test_what_was_offered_without_a_majority_is_unknown_until_a_read_settles_it(
    quorum: PaxosRegisters, servers_of_quorum: Quorum
) -> None:
    with frozen(servers_of_quorum, "one", "three"), within(DEADLINE_S + 0.5):
        with pytest.raises(OutcomeUnknown) as error:
            quorum.decide(VOTE, "yes")
    assert error.value.applied is None

    # The servers that were frozen find the offers that were sent to them now, late.
    settled = quorum.decide(VOTE, "no")
    assert settled in ("yes", "no")
    assert quorum.read(VOTE) == settled
    assert quorum.decide(VOTE, "yes") == settled


def test_a_read_finishes_what_one_acceptor_has_accepted(quorum: PaxosRegisters) -> None:
    leave_half_done(quorum, Ballot(3, "f" * 16), "late", promised=["one", "two"], agreed=["two"])

    found = quorum.read(CELL)

    # It may look at the two that know of nothing: then nothing was chosen.
    assert found in ("late", None)
    held = quorum.decide(CELL, "mine")
    assert held == (found or held)
    assert quorum.read(CELL) == held


def test_a_value_that_may_have_been_chosen_is_never_replaced(
    quorum: PaxosRegisters, servers_of_quorum: Quorum
) -> None:
    both = ["one", "two"]
    leave_half_done(quorum, Ballot(3, "f" * 16), "chosen", promised=both, agreed=both)

    with frozen(servers_of_quorum, "one"):
        assert quorum.decide(CELL, "mine") == "chosen"
    with frozen(servers_of_quorum, "two"):
        assert quorum.read(CELL) == "chosen"


def test_of_two_values_that_were_accepted_the_one_of_the_higher_ballot_goes_on(
    quorum: PaxosRegisters, servers_of_quorum: Quorum
) -> None:
    older, newer = Ballot(2, "f" * 16), Ballot(3, "0" * 16)
    leave_half_done(quorum, older, "older", promised=["one", "two"], agreed=["one"])
    leave_half_done(quorum, newer, "newer", promised=["two", "three"], agreed=["two"])

    with frozen(servers_of_quorum, "three"):
        assert quorum.read(CELL) == "newer"
    assert quorum.decide(CELL, "mine") == "newer"


def test_lost_replies_change_no_answer(servers_of_quorum: Quorum, elect: Elect) -> None:
    with ExitStack() as stack:
        proxies = {
            alias: stack.enter_context(LosingProxy(server.port))
            for alias, server in servers_of_quorum.servers.items()
        }
        stores: dict[str, dict[str, object]] = {
            alias: {"BACKEND": "redis", "LOCATION": proxy.url} for alias, proxy in proxies.items()
        }
        quorum = elect(stores, deadline_s=5)
        for number in range(12):
            register = Register(name=f"cell:{number}", opening="yes" if number % 2 else None)
            for proxy in list(proxies.values())[: 1 + number % 3]:
                proxy.lose(1 + number % 2)
            first = quorum.decide(register, "yes")
            assert first == "yes"
            assert quorum.decide(register, "no") == "yes"
        assert sum(proxy.lost for proxy in proxies.values()) >= 12


def test_a_proposer_that_comes_back_never_uses_a_ballot_again(quorum: PaxosRegisters) -> None:
    """Nothing is remembered by proposers: the same call again is a new one, above what it finds."""
    for number in range(30):
        register = Register(name=f"again:{number}")
        quorum.decide(register, "yes")
        ballots = {
            accepted.ballot
            for alias in NUMBERS
            if (accepted := kept_by(quorum, alias, register)) is not None
        }
        assert len(ballots) == 1
        assert ballots.isdisjoint({OPENING})
