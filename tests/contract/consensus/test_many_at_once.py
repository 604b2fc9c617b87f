"""Registers of one group are written and read many at a time, and told of by values."""

import os
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connections

from coordination.consensus.api import (
    Chosen,
    Forgotten,
    RegisterGroup,
    Unchosen,
    Unknown,
    forget_before,
    register,
    register_group,
)
from coordination.exceptions import InvalidArgument, InvalidName
from tests.consensus_stores import Quorum

PERIOD = 7
WRITERS, ROUNDS = 6, 15


@pytest.fixture
def group(using: str) -> RegisterGroup:
    return register_group(period=PERIOD, opening="prepared", using=using)


def new_keys(number: int) -> list[str]:
    return [f"test:{secrets.token_hex(6)}" for _ in range(number)]


def test_many_are_written_by_one_call_and_read_by_one(group: RegisterGroup) -> None:
    keys = new_keys(5)
    written = group.write_many(dict.fromkeys(keys, "prepared"))

    assert written == dict.fromkeys(keys, Chosen("prepared"))
    assert group.read_many(keys) == written
    assert group.peek_many(keys) == written
    assert register(keys[0], period=PERIOD, opening="prepared", using=group.using).read()


def test_each_key_keeps_its_first_value_whoever_else_is_in_the_call(group: RegisterGroup) -> None:
    one, two, three = new_keys(3)
    assert group.propose(two, "aborted") == Chosen("aborted")

    written = group.write_many({one: "prepared", two: "prepared", three: "aborted"})

    assert written == {one: Chosen("prepared"), two: Chosen("aborted"), three: Chosen("aborted")}


def test_what_nobody_wrote_is_unchosen_and_may_be_written_later(group: RegisterGroup) -> None:
    (key,) = new_keys(1)

    assert group.peek_many([key]) == {key: Unchosen()}
    assert group.read_many([key, key]) == {key: Unchosen()}
    assert group.propose(key, "prepared") == Chosen("prepared")


def test_many_writers_of_many_keys_all_get_the_same_values(
    using: str, threads: ThreadPoolExecutor
) -> None:
    start = Barrier(WRITERS)
    batches = [new_keys(4) for _ in range(ROUNDS)]

    def write(number: int) -> list[dict[str, object]]:
        group = register_group(opening="w0", using=using)
        start.wait(10)
        # In another order each: nobody may wait for somebody who waits for him.
        told: list[dict[str, object]] = []
        for batch in batches:
            keys = batch if number % 2 else batch[::-1]
            told.append(
                dict(group.write_many(dict.fromkeys(keys, f"w{number}"), deadline_ms=20_000))
            )
        return told

    answers = list(threads.map(write, range(WRITERS)))

    for told in zip(*answers, strict=True):
        for key in told[0]:
            answers_of_key = {each[key] for each in told}
            assert len(answers_of_key) == 1
            assert isinstance(answers_of_key.pop(), Chosen)


def test_what_is_forgotten_is_told_of_each(group: RegisterGroup) -> None:
    keys = new_keys(3)
    group.write_many(dict.fromkeys(keys, "prepared"))
    forget_before(PERIOD + 1, using=group.using)

    for told in (group.read_many(keys), group.write_many(dict.fromkeys(keys, "aborted"))):
        assert told == dict.fromkeys(keys, Forgotten(PERIOD + 1))


def test_a_bad_key_or_value_spoils_the_whole_call_before_anything_is_sent(
    group: RegisterGroup,
) -> None:
    (key,) = new_keys(1)
    with pytest.raises(InvalidArgument, match="register"):
        group.write_many({key: "prepared", "other": ""})
    with pytest.raises(InvalidName, match="own"):
        group.write_many({key: "prepared", "concord:view:2": "prepared"})
    with pytest.raises(InvalidName):
        group.read_many([key, "x" * 201])
    with pytest.raises(InvalidArgument, match="at most"):
        group.peek_many([str(number) for number in range(1_001)])
    assert group.peek_many([key]) == {key: Unchosen()}


def test_a_forked_child_writes_by_connections_of_its_own(group: RegisterGroup) -> None:
    """Ten writes of each, at the same time, and no answer of one taken for the other's."""
    ours, theirs = new_keys(10), new_keys(10)
    # Connections are open, and some wait for a slow acceptor, when the process forks.
    group.write_many(dict.fromkeys(new_keys(3), "prepared"))
    # Django's own are none of ours, and would be shared.
    connections.close_all()
    child = os.fork()
    if child == 0:
        told = [group.propose(key, "prepared", deadline_ms=20_000) for key in theirs]
        os._exit(0 if told == [Chosen("prepared")] * 10 else 1)

    told = [group.propose(key, "prepared", deadline_ms=20_000) for key in ours]
    _, status = os.waitpid(child, 0)

    assert told == [Chosen("prepared")] * 10
    assert os.waitstatus_to_exitcode(status) == 0
    assert group.read_many(theirs) == dict.fromkeys(theirs, Chosen("prepared"))


def test_the_opening_of_many_takes_one_message_to_each_acceptor(
    redis_quorum: str, servers_of_quorum: Quorum
) -> None:
    group = register_group(opening="prepared", using=redis_quorum)
    group.write_many(dict.fromkeys(new_keys(3), "prepared"))
    before = scripts_run(servers_of_quorum)

    group.write_many(dict.fromkeys(new_keys(3), "prepared"))
    # The one that was slowest is not waited for; its next message is behind this one.
    group.peek_many(new_keys(1))

    run = {
        alias: number - before[alias] for alias, number in scripts_run(servers_of_quorum).items()
    }
    assert run == dict.fromkeys(run, 2)


def scripts_run(servers: Quorum) -> dict[str, int]:
    run = {}
    for alias, server in servers.servers.items():
        with server.client() as client:
            stats = client.info("commandstats")
            run[alias] = sum(
                stats.get(f"cmdstat_{word}", {}).get("calls", 0) for word in ("evalsha", "eval")
            )
    return run


def test_without_a_majority_each_is_unknown_and_says_whether_it_was_offered(
    redis_quorum: str, servers_of_quorum: Quorum, freeze: Callable[..., None]
) -> None:
    group = register_group(opening="prepared", using=redis_quorum)
    group.write_many(dict.fromkeys(new_keys(3), "prepared"))
    opened, other = new_keys(2)
    freeze("one", "two")

    told = group.write_many({opened: "prepared", other: "aborted"}, deadline_ms=300)

    assert [type(each) for each in told.values()] == [Unknown, Unknown]
    assert isinstance(told[opened], Unknown)
    assert told[opened].offered is True
    assert isinstance(told[other], Unknown)
    assert told[other].offered is False
    for read in (group.read_many, group.peek_many):
        (answer,) = read([other], deadline_ms=300).values()
        assert isinstance(answer, Unknown)
        assert answer.offered is False


def test_a_peek_finishes_nothing(
    redis_quorum: str, servers_of_quorum: Quorum, freeze: Callable[..., None]
) -> None:
    group = register_group(opening="prepared", using=redis_quorum)
    (key,) = new_keys(1)
    group.write_many(dict.fromkeys(new_keys(3), "prepared"))
    for alias in ("one", "two"):
        servers_of_quorum.servers[alias].kill()
    group.propose(key, "prepared", deadline_ms=300)
    servers_of_quorum.heal()
    freeze("one")

    # Of the two that answer one has accepted it, and one has not.
    assert isinstance(group.peek_many([key])[key], Unknown)
    assert isinstance(group.peek_many([key])[key], Unknown)
    assert group.read_many([key]) == {key: Chosen("prepared")}
    assert group.peek_many([key]) == {key: Chosen("prepared")}
