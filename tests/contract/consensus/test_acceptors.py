"""Each kind of acceptor does what the rule says, and says who it is."""

import secrets
import select
from collections.abc import Callable, Iterator
from threading import Event

import pytest
from django.conf import settings as django_settings
from hypothesis import HealthCheck, given
from hypothesis import settings as examined
from hypothesis import strategies as st
from pytest_django import Settings

from coordination.consensus import acceptor as rule
from coordination.consensus.acceptor import Kept
from coordination.consensus.acceptors import acceptor_of
from coordination.consensus.messages import Look, Message, Offer, Prepare
from coordination.consensus.store import Acceptor
from coordination.consensus.types import (
    OPENING,
    Accepted,
    Agreed,
    Ballot,
    Forgotten,
    Member,
    Outdated,
    Refused,
    Register,
    Reply,
    Seen,
    Stamp,
    Unseated,
    View,
)
from coordination.exceptions import NotSupportedByStore, StoreUnavailable
from tests.consensus_stores import Quorum
from tests.contract.locks.asking import until

MS = 5_000
ME = "a" * 16
VIEW = View(3, (Member("acceptor", ME), Member("b", "x"), Member("c", "y")))
STAMP = Stamp(ME, 3)
BALLOTS = st.builds(Ballot, st.integers(1, 12), st.sampled_from(["0" * 16, "7" * 16, "f" * 16]))


STEPS = st.lists(
    st.tuples(st.sampled_from(["prepare", "accept", "look"]), BALLOTS), min_size=1, max_size=12
)


@pytest.fixture
def redis_acceptor(servers_of_quorum: Quorum, settings: Settings) -> str:
    known = django_settings.COORDINATION
    settings.COORDINATION = known | {"STORES": known["STORES"] | servers_of_quorum.stores()}
    return "one"


@pytest.fixture(params=["redis_acceptor", "postgresql_registers", "zookeeper_registers"])
def made(request: pytest.FixtureRequest, transactional_db: None) -> Acceptor:
    """One that was never born."""
    return acceptor_of(request.getfixturevalue(request.param))


@pytest.fixture
def acceptor(made: Acceptor) -> Acceptor:
    """One that serves."""
    assert made.give_birth(ME, VIEW, deadline_ms=MS)
    return made


@pytest.fixture
def register() -> Register:
    return Register(name=f"test:{secrets.token_hex(6)}", period=5)


@examined(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_any_sequence_of_messages_is_answered_as_by_the_rule(
    acceptor: Acceptor, steps: list[tuple[str, Ballot]]
) -> None:
    register, kept = Register(name=f"test:{secrets.token_hex(6)}"), Kept()

    for verb, ballot in steps:
        if verb == "prepare":
            kept, expected = rule.prepare(kept, ballot)
            found = told(acceptor, STAMP, Prepare(register, ballot))
        elif verb == "accept":
            # A ballot has one value: that is the proposer's part.
            kept, expected = rule.accept(kept, ballot, str(ballot))
            found = told(acceptor, STAMP, Offer(register, ballot, str(ballot)))
        else:
            expected = Seen(kept.accepted)
            found = told(acceptor, STAMP, Look(register))
        assert found == expected


def test_the_opening_is_accepted_until_anything_higher_was_promised(
    acceptor: Acceptor, register: Register
) -> None:
    other = Register(name=f"{register.name}:other")
    accepted = told(acceptor, STAMP, Offer(register, OPENING, "yes"))
    told(acceptor, STAMP, Prepare(other, Ballot(1, "0" * 16)))

    assert accepted == rule.accept(Kept(), OPENING, "yes")[1]
    refused = told(acceptor, STAMP, Offer(other, OPENING, "yes"))
    assert refused == rule.accept(Kept(Ballot(1, "0" * 16)), OPENING, "yes")[1]


def test_one_that_was_never_born_serves_nobody(made: Acceptor, register: Register) -> None:
    assert made.seat(deadline_ms=MS).incarnation == ""
    for reply in asked(made, STAMP, register):
        assert reply == Unseated("it has no incarnation")


def test_another_incarnation_is_meant_by_nobody(acceptor: Acceptor, register: Register) -> None:
    for reply in asked(acceptor, Stamp("b" * 16, 3), register):
        assert reply == Unseated("it has another incarnation")
    assert told(acceptor, STAMP, Look(register)) == Seen(None)


def test_whoever_knew_a_former_incarnation_can_ask_nothing_of_a_later_one(
    acceptor: Acceptor, register: Register
) -> None:
    stranger = acceptor_of(acceptor.alias)
    for asks in (acceptor, stranger):
        told(asks, STAMP, Offer(register, OPENING, "old"))
    acceptor.bury(deadline_ms=MS)
    # It goes by the view of the same version, and keeps the register at the same place.
    acceptor.give_birth("b" * 16, VIEW, deadline_ms=MS)
    new = Stamp("b" * 16, 3)
    accepted = told(acceptor, new, Offer(register, Ballot(7, "f" * 16), "new"))

    late = Offer(register, Ballot(8, "0" * 16), "late")
    assert told(stranger, STAMP, late) == Unseated("it has another incarnation")
    assert accepted == Agreed(Ballot(7, "f" * 16))
    seen = told(acceptor, new, Look(register))
    assert seen == Seen(Accepted(Ballot(7, "f" * 16), "new"))


def test_it_is_born_once(acceptor: Acceptor, register: Register) -> None:
    told(acceptor, STAMP, Offer(register, OPENING, "yes"))

    assert not acceptor.give_birth("b" * 16, VIEW, deadline_ms=MS)
    assert acceptor.seat(deadline_ms=MS).incarnation == ME
    assert told(acceptor, STAMP, Look(register)) != Seen(None)


@pytest.mark.parametrize("version", [2, 4])
def test_a_request_by_another_view_is_refused(
    acceptor: Acceptor, register: Register, version: int
) -> None:
    for reply in asked(acceptor, Stamp(ME, version), register):
        assert reply == Outdated(3)


def test_a_later_view_is_installed_and_an_earlier_one_is_not(
    acceptor: Acceptor, register: Register
) -> None:
    later = View(4, VIEW.members)
    acceptor.install("b" * 16, View(9, VIEW.members), deadline_ms=MS)
    acceptor.install(ME, later, deadline_ms=MS)
    acceptor.install(ME, VIEW, deadline_ms=MS)

    assert acceptor.seat(deadline_ms=MS).view == later
    assert told(acceptor, STAMP, Look(register)) == Outdated(4)
    assert told(acceptor, Stamp(ME, 4), Look(register)) == Seen(None)


def test_what_is_begun_is_answered_as_what_is_asked(acceptor: Acceptor) -> None:
    registers = [Register(name=f"test:{secrets.token_hex(6)}", period=5) for _ in range(3)]
    # Connections are open, scripts known and parents made.
    told(acceptor, STAMP, Offer(registers[0], OPENING, "yes"))
    messages: list[list[Message]] = [
        [Offer(register, OPENING, "yes") for register in registers],
        [Look(register) for register in registers],
        [Prepare(register, Ballot(2, "7" * 16)) for register in registers],
        [Offer(register, Ballot(2, "7" * 16), "yes") for register in registers],
    ]

    for some in messages:
        replies = begun(acceptor, STAMP, some)
        # Each may be said twice, and the same is answered.
        assert replies in (None, acceptor.ask(STAMP, some, deadline_ms=MS))
    assert begun(acceptor, STAMP, [Look(registers[0]), Prepare(registers[1], OPENING)]) in (
        None,
        [Seen(Accepted(Ballot(2, "7" * 16), "yes")), Refused(OPENING, Ballot(2, "7" * 16))],
    )


def test_what_is_left_under_way_is_done_and_spoils_no_later_answer(acceptor: Acceptor) -> None:
    registers = [Register(name=f"test:{secrets.token_hex(6)}", period=5) for _ in range(30)]
    first = Ballot(1, "7" * 16)
    for register in registers:
        told(acceptor, STAMP, Prepare(register, first))
    for register in registers:
        sent = acceptor.begin(STAMP, [Offer(register, first, "yes")], ring=lambda: None)
        if sent is None:
            told(acceptor, STAMP, Offer(register, first, "yes"))
        else:
            sent.leave()

    def all_seen() -> bool:
        looks = [Look(register) for register in registers]
        seen = acceptor.ask(STAMP, looks, deadline_ms=MS)
        return seen == [Seen(Accepted(first, "yes"))] * len(registers)

    until(all_seen, within_s=10)


def begun(acceptor: Acceptor, stamp: Stamp, messages: list[Message]) -> list[Reply] | None:
    rung = Event()
    sent = acceptor.begin(stamp, messages, ring=rung.set)
    if sent is None:
        return None
    while not sent.advance():
        if sent.fileno() < 0:
            assert rung.wait(MS / 1000)
            rung.clear()
        else:
            assert select.select([sent.fileno()], [], [], MS / 1000)[0]
    return sent.replies()


def test_below_the_floor_nothing_is_kept_or_promised(
    acceptor: Acceptor, register: Register
) -> None:
    young = Register(name=register.name, period=6)
    for each in (register, young):
        told(acceptor, STAMP, Offer(each, OPENING, "yes"))

    acceptor.raise_floor("b" * 16, 9, deadline_ms=MS)
    acceptor.raise_floor(ME, 6, deadline_ms=MS)
    acceptor.raise_floor(ME, 2, deadline_ms=MS)

    assert acceptor.seat(deadline_ms=MS).floor == 6
    for reply in asked(acceptor, STAMP, register):
        assert reply == Forgotten(6)
    assert list(acceptor.keys(deadline_ms=MS)) == [(6, young.key)]


def test_it_tells_every_register_in_which_it_accepted_a_value(acceptor: Acceptor) -> None:
    registers = [
        Register(name=f"test.{number}/ü", period=number % 3, opening="yes" if number % 2 else None)
        for number in range(30)
    ]
    for each in registers:
        told(acceptor, STAMP, Offer(each, OPENING, "yes"))

    kept = {Register.of_key(*each) for each in acceptor.keys(deadline_ms=MS)}
    assert kept == set(registers)


def test_one_that_was_buried_knows_nothing(acceptor: Acceptor, register: Register) -> None:
    told(acceptor, STAMP, Offer(register, OPENING, "yes"))
    acceptor.bury(deadline_ms=MS)

    assert acceptor.seat(deadline_ms=MS).incarnation == ""
    assert acceptor.give_birth("b" * 16, VIEW, deadline_ms=MS)
    assert told(acceptor, Stamp("b" * 16, 3), Look(register)) == Seen(None)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("appendfsync", "everysec"),
        ("no-appendfsync-on-rewrite", "yes"),
        ("maxmemory-policy", "allkeys-lru"),
    ],
)
def test_a_redis_that_may_forget_does_not_count(
    redis_acceptor: str, servers_of_quorum: Quorum, register: Register, setting: str, value: str
) -> None:
    acceptor = acceptor_of(redis_acceptor)
    acceptor.give_birth(ME, VIEW, deadline_ms=MS)
    with servers_of_quorum.servers["one"].client() as client:
        before = client.config_get(setting)[setting]
        client.config_set(setting, value)
        try:
            for reply in asked(acceptor, STAMP, register):
                assert isinstance(reply, Unseated)
                assert setting in reply.reason
            acceptor.bury(deadline_ms=MS)
            with pytest.raises(StoreUnavailable, match=setting):
                acceptor.give_birth(ME, VIEW, deadline_ms=MS)
        finally:
            client.config_set(setting, before)


def test_a_redis_with_a_replica_does_not_count(
    redis_acceptor: str,
    servers_of_quorum: Quorum,
    register: Register,
    following: Callable[[], None],
) -> None:
    acceptor = acceptor_of(redis_acceptor)
    acceptor.give_birth(ME, VIEW, deadline_ms=MS)
    following()

    for reply in asked(acceptor, STAMP, register):
        assert isinstance(reply, Unseated)
        assert "replica" in reply.reason


@pytest.fixture
def following(servers_of_quorum: Quorum) -> Iterator[Callable[[], None]]:
    """Lets the second server follow the first."""
    one, two = servers_of_quorum.servers["one"], servers_of_quorum.servers["two"]

    def follow() -> None:
        with two.client() as replica, one.client() as master:
            replica.replicaof("127.0.0.1", one.port)
            until(lambda: bool(master.execute_command("ROLE")[2]), within_s=30)

    yield follow
    with two.client() as replica:
        replica.replicaof("NO", "ONE")


def test_a_redis_that_does_not_wait_for_its_log_cannot_begin(transactional_db: None) -> None:
    with pytest.raises(StoreUnavailable, match="appendfsync is everysec"):
        acceptor_of("redis").give_birth(ME, VIEW, deadline_ms=MS)


def test_a_broker_is_no_acceptor(settings: Settings) -> None:
    broker = {"BACKEND": "rabbitmq", "LOCATION": "amqp://127.0.0.1"}
    stores = {"broker": broker, "other": {"BACKEND": "database"}}
    settings.COORDINATION = {"NODE": "test", "STORES": stores, "DEFAULT": "other"}

    with pytest.raises(NotSupportedByStore, match="RabbitMQ"):
        acceptor_of("broker")


def told(acceptor: Acceptor, stamp: Stamp, message: Message) -> Reply:
    (reply,) = acceptor.ask(stamp, [message], deadline_ms=MS)
    return reply


def asked(acceptor: Acceptor, stamp: Stamp, register: Register) -> list[object]:
    ballot = Ballot(1, "0" * 16)
    return [
        told(acceptor, stamp, Prepare(register, ballot)),
        told(acceptor, stamp, Offer(register, ballot, "yes")),
        told(acceptor, stamp, Look(register)),
    ]
