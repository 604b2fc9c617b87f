"""Acceptors that lost their memory, were founded, retired, admitted or made to forget."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, cast

import pytest
from pytest_django import Settings

from coordination.consensus import admitting
from coordination.consensus.founding import found
from coordination.consensus.messages import Message, Offer, Prepare
from coordination.consensus.store import Acceptor
from coordination.consensus.stores.paxos import PaxosRegisters
from coordination.consensus.types import (
    Ballot,
    Register,
    Reply,
    Stamp,
    View,
)
from coordination.exceptions import (
    ConflictError,
    InvalidArgument,
    OutcomeUnknown,
    RegisterForgotten,
    StoreUnavailable,
)
from tests.consensus_faults import CELL, frozen, leave_half_done, lose_memory, stamp_of
from tests.consensus_stores import (
    FOUNDING_MS,
    Quorum,
    _quorum_servers,
    elect,
    servers_of_quorum,
)

__all__ = ["_quorum_servers", "elect", "servers_of_quorum"]

DEADLINE_S = 1.0
Elect = Callable[..., PaxosRegisters]


@pytest.fixture
def quorum(servers_of_quorum: Quorum, elect: Elect) -> PaxosRegisters:
    """Founded, with little patience."""
    return elect(servers_of_quorum.stores(), deadline_s=DEADLINE_S)


def test_an_acceptor_without_its_memory_does_not_count_until_it_is_admitted(
    quorum: PaxosRegisters, servers_of_quorum: Quorum
) -> None:
    with frozen(servers_of_quorum, "three"):
        quorum.decide(CELL, "yes")
    lose_memory(servers_of_quorum, "two")

    # One and three are a majority.
    assert quorum.read(CELL) == "yes"
    # Two and three would be one, and two knows nothing of the value.
    with frozen(servers_of_quorum, "one"):
        for register in (CELL, Register(name="new")):
            with pytest.raises(StoreUnavailable, match="no incarnation"):
                quorum.decide(register, "no")
    with pytest.raises(ConflictError, match="two"):
        found(quorum, deadline_ms=FOUNDING_MS)

    view = admitting.admit(quorum, "two", deadline_ms=FOUNDING_MS)

    assert view.version == 3
    with frozen(servers_of_quorum, "one"):
        assert quorum.decide(CELL, "no") == "yes"
        assert quorum.decide(Register(name="new"), "no") == "no"


def test_what_was_chosen_with_a_lost_voice_outlives_it(
    quorum: PaxosRegisters, servers_of_quorum: Quorum
) -> None:
    registers = [Register(name=f"cell:{number}", period=number) for number in range(20)]
    with frozen(servers_of_quorum, "three"):
        for register in registers:
            quorum.decide(register, register.name)
    lose_memory(servers_of_quorum, "two")

    read: list[int] = []
    admitting.admit(quorum, "two", deadline_ms=FOUNDING_MS, meanwhile=read.append)

    assert len(read) >= len(registers)
    servers_of_quorum.servers["one"].kill()
    for register in registers:
        assert quorum.read(register) == register.name


def test_a_proposer_of_an_earlier_view_is_refused_and_goes_on_with_the_later(
    quorum: PaxosRegisters, servers_of_quorum: Quorum
) -> None:
    old = stamp_of(quorum, "one")
    stranger = PaxosRegisters(quorum.acceptors, deadline_ms=2_000)
    stranger.read(CELL)
    lose_memory(servers_of_quorum, "two")
    admitting.admit(quorum, "two", deadline_ms=FOUNDING_MS)

    one = quorum.acceptors[0]
    late = Offer(CELL, Ballot(9, "f" * 16), "late")
    (refused,) = one.ask(old, [late], deadline_ms=1_000)
    assert getattr(refused, "version", None) == 3
    assert stranger.decide(CELL, "mine") == "mine"


class Delayed:
    """An acceptor whose answer to the first phase comes after whatever is done meanwhile."""

    def __init__(self, acceptor: Acceptor, meanwhile: Callable[[], None]) -> None:
        self._acceptor = acceptor
        self._meanwhile = meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._acceptor, name)

    def begin(self, *_: object, **__: object) -> None:
        """Only `ask` is delayed."""

    def ask(self, stamp: Stamp, messages: list[Message], *, deadline_ms: int) -> list[Reply]:
        replies = self._acceptor.ask(stamp, messages, deadline_ms=deadline_ms)
        if isinstance(messages[0], Prepare):
            self._meanwhile()
        return replies


class Deaf(Delayed):
    """An acceptor that is out of reach, but for who it is."""

    def __init__(self, acceptor: Acceptor) -> None:
        super().__init__(acceptor, lambda: None)

    def ask(self, stamp: Stamp, messages: list[Message], *, deadline_ms: int) -> list[Reply]:
        raise StoreUnavailable("out of reach", store=self.alias)


def test_promises_of_one_view_never_carry_an_offer_into_the_next(
    quorum: PaxosRegisters, servers_of_quorum: Quorum
) -> None:
    """A promise is lost between the two phases, and what it kept out is chosen meanwhile."""
    done = Event()

    def meanwhile() -> None:
        if done.is_set():
            return
        done.set()
        lose_memory(servers_of_quorum, "two")
        other = PaxosRegisters(quorum.acceptors, deadline_ms=5_000)
        view = admitting.admit(other, "two", deadline_ms=FOUNDING_MS)
        quorum.views.use(view)
        lowest = Ballot(1, "0" * 16)
        pair = ["two", "three"]
        leave_half_done(quorum, lowest, "theirs", promised=pair, agreed=pair)
        # As another thread of the proposer's process would have learned it.
        proposer.views.use(view)

    one, two, three = quorum.acceptors
    members = (one, cast("Acceptor", Delayed(two, meanwhile)), cast("Acceptor", Deaf(three)))
    proposer = PaxosRegisters(members, deadline_ms=20_000)

    assert proposer.decide(CELL, "mine") == "theirs"
    assert done.is_set()
    assert quorum.read(CELL) == "theirs"


def test_an_acceptor_that_was_away_learns_the_view_from_whoever_asks_it(
    servers_of_quorum: Quorum, elect: Elect
) -> None:
    quorum = elect(servers_of_quorum.stores(), founded=False)
    view = found(quorum, deadline_ms=FOUNDING_MS)
    later = View(view.version + 1, view.members)
    for acceptor in quorum.acceptors[:2]:
        acceptor.install(view.incarnation(acceptor.alias), later, deadline_ms=1_000)
    servers_of_quorum.servers["two"].kill()

    assert quorum.decide(CELL, "yes") == "yes"
    assert quorum.acceptors[2].seat(deadline_ms=1_000).view == later


def test_no_more_acceptors_are_retired_than_the_others_can_spare(
    quorum: PaxosRegisters,
) -> None:
    admitting.retire(quorum, "two", deadline_ms=2_000)

    assert quorum.decide(CELL, "yes") == "yes"
    with pytest.raises(ConflictError, match="too few"):
        admitting.retire(quorum, "one", deadline_ms=2_000)
    admitting.admit(quorum, "two", deadline_ms=FOUNDING_MS)
    admitting.retire(quorum, "one", deadline_ms=2_000)
    assert quorum.read(CELL) == "yes"


def test_one_that_counts_is_not_admitted(quorum: PaxosRegisters) -> None:
    with pytest.raises(InvalidArgument, match="counts"):
        admitting.admit(quorum, "one", deadline_ms=2_000)
    with pytest.raises(InvalidArgument, match="no acceptor"):
        admitting.admit(quorum, "four", deadline_ms=2_000)


def test_an_admission_that_was_interrupted_is_done_again(
    quorum: PaxosRegisters, servers_of_quorum: Quorum
) -> None:
    quorum.decide(CELL, "yes")
    lose_memory(servers_of_quorum, "two")

    class Killed(Exception):
        """Somebody pulled the plug."""

    def die(_: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        admitting.admit(quorum, "two", deadline_ms=FOUNDING_MS, meanwhile=die)
    assert quorum.decide(Register(name="meanwhile"), "yes") == "yes"

    admitting.admit(quorum, "two", deadline_ms=FOUNDING_MS)

    servers_of_quorum.servers["three"].kill()
    assert quorum.read(CELL) == "yes"
    assert quorum.read(Register(name="meanwhile")) == "yes"


def test_two_who_admit_at_once_change_the_view_one_after_the_other(
    quorum: PaxosRegisters, servers_of_quorum: Quorum
) -> None:
    quorum.decide(CELL, "yes")
    lose_memory(servers_of_quorum, "two")
    others = [PaxosRegisters(quorum.acceptors, deadline_ms=5_000) for _ in range(3)]

    def admit(each: PaxosRegisters) -> str:
        try:
            admitting.admit(each, "two", deadline_ms=FOUNDING_MS)
        except (ConflictError, InvalidArgument, StoreUnavailable, OutcomeUnknown) as error:
            return type(error).__name__
        return "admitted"

    with ThreadPoolExecutor(3) as threads:
        told = list(threads.map(admit, others))

    assert quorum.read(CELL) == "yes", told
    if not all(counts for _, counts, _ in admitting.describe(quorum, deadline_ms=2_000)):
        admitting.admit(quorum, "two", deadline_ms=FOUNDING_MS)
    assert all(counts for _, counts, _ in admitting.describe(quorum, deadline_ms=2_000))
    assert quorum.decide(CELL, "no") == "yes"


def test_two_who_found_at_once_found_one_quorum(servers_of_quorum: Quorum, elect: Elect) -> None:
    quorum = elect(servers_of_quorum.stores(), founded=False)
    with pytest.raises(StoreUnavailable, match="never founded"):
        quorum.read(CELL)
    founders = [PaxosRegisters(quorum.acceptors, deadline_ms=2_000) for _ in range(4)]

    with ThreadPoolExecutor(4) as threads:
        views = list(threads.map(lambda each: found(each, deadline_ms=FOUNDING_MS), founders))

    assert len(set(views)) == 1
    assert [each.decide(CELL, str(number)) for number, each in enumerate(founders)] == ["0"] * 4
    assert found(quorum, deadline_ms=FOUNDING_MS) == views[0]


def test_a_founding_that_was_interrupted_is_finished(
    servers_of_quorum: Quorum, elect: Elect
) -> None:
    quorum = elect(servers_of_quorum.stores(), founded=False, deadline_s=DEADLINE_S)
    servers_of_quorum.servers["two"].kill()
    with pytest.raises(StoreUnavailable):
        found(quorum, deadline_ms=1_000)
    with pytest.raises(StoreUnavailable):
        quorum.decide(CELL, "yes")
    servers_of_quorum.heal()

    found(quorum, deadline_ms=FOUNDING_MS)
    assert quorum.decide(CELL, "yes") == "yes"


def test_what_a_majority_forgot_stays_forgotten_when_the_third_comes_back(
    quorum: PaxosRegisters, servers_of_quorum: Quorum
) -> None:
    old = Register(name="old", period=3, opening="yes")
    quorum.decide(old, "yes")
    servers_of_quorum.servers["two"].kill()
    quorum.forget_before(4)
    servers_of_quorum.heal()

    for victim in ("one", "three"):
        with frozen(servers_of_quorum, victim):
            for value in ("yes", "no"):
                with pytest.raises(RegisterForgotten):
                    quorum.decide(old, value)
            with pytest.raises(RegisterForgotten):
                quorum.read(old)
    with frozen(servers_of_quorum, "one", "three"):
        with pytest.raises(OutcomeUnknown):
            quorum.forget_before(5)


def test_what_was_forgotten_stays_so_although_one_of_those_that_knew_has_begun_anew(
    quorum: PaxosRegisters, servers_of_quorum: Quorum
) -> None:
    old = Register(name="old", period=3, opening="yes")
    quorum.decide(old, "yes")
    servers_of_quorum.servers["three"].kill()
    quorum.forget_before(4)
    servers_of_quorum.heal()
    lose_memory(servers_of_quorum, "two")
    admitting.admit(quorum, "two", deadline_ms=FOUNDING_MS)

    # Neither of the others was told of the floor when it was raised.
    with frozen(servers_of_quorum, "one"):
        for value in ("yes", "no"):
            with pytest.raises(RegisterForgotten):
                quorum.decide(old, value)


def test_a_floor_does_not_count_at_an_acceptor_that_was_retired(
    quorum: PaxosRegisters, servers_of_quorum: Quorum
) -> None:
    stranger = PaxosRegisters(quorum.acceptors, deadline_ms=2_000)
    stranger.read(CELL)
    admitting.retire(quorum, "two", deadline_ms=2_000)
    servers_of_quorum.servers["three"].kill()

    # By the view that it knows, one and two are a majority.
    with pytest.raises(OutcomeUnknown):
        stranger.forget_before(4)
    servers_of_quorum.heal()
    stranger.forget_before(4)


def test_other_acceptors_than_were_founded_are_refused(
    servers_of_quorum: Quorum, elect: Elect, settings: Settings
) -> None:
    elect(servers_of_quorum.stores())
    renamed = {f"{alias}_b": store for alias, store in servers_of_quorum.stores().items()}
    quorum = elect(renamed, tuple(renamed), founded=False)

    with pytest.raises(StoreUnavailable, match="were founded as one, three, two"):
        quorum.read(CELL)
