"""What operators do to a whole queue falls on what is there when they ask, and loses nothing."""

from collections.abc import Callable

import pytest

from coordination import Message, queue
from coordination.exceptions import InvalidArgument, QueueFull
from coordination.queues import declared
from coordination.queues.api import Queue
from coordination.queues.types import Capability
from tests.contract.locks.asking import pass_time
from tests.contract.queues.taking import balanced, drained, one


def killed(q: Queue, number: int) -> None:
    for _ in range(number):
        one(q).reject(error="bad")


def test_a_redrive_gives_dead_letters_another_chance(q: Queue, using: str) -> None:
    ids = q.publish_many(range(5))
    killed(q, 5)
    assert q.stats().dead == 5
    assert q.redrive(limit=2, actor="ann", reason="the address book is back") == 2
    assert q.redrive() == 3
    assert q.redrive() == 0
    again = drained(q)
    assert sorted(each.id for each in again) == sorted(ids)
    assert {each.attempts for each in again} == {1}
    balanced(q)
    balanced(queue(f"{q.name}.dlq", using=using))


def test_a_redrive_takes_only_the_letters_of_its_queue(
    made: Callable[..., Queue], name: str, using: str
) -> None:
    shared = f"{name}:dead"
    one_, other = (queue(f"{name}:{n}", using=using, dead_letter=shared) for n in "ab")
    for q in (one_, other, one_):
        q.publish("x")
        killed(q, 1)
    assert one_.redrive() == 2
    assert other.stats().dead == 1
    for each in (one_, other, queue(shared, using=using)):
        balanced(each)


def test_a_purge_falls_on_what_was_there_and_not_in_flight(q: Queue) -> None:
    q.publish_many(range(450))
    taken = one(q)
    seen: list[int] = []

    def progress(done: int) -> None:
        seen.append(done)
        q.publish("came later")

    assert q.purge(actor="ann", reason="test data", progress=progress) == 449
    assert seen[-1] == 449
    assert len(seen) >= 3
    taken.ack()
    assert {each.body for each in drained(q)} == {"came later"}
    balanced(q)


@pytest.mark.needs(Capability.MOVE)
def test_messages_are_moved_with_all_they_have(q: Queue, name: str, using: str) -> None:
    to = queue(f"{name}:to", using=using)
    ids = q.publish_many(
        [
            Message("a", {"h": 1}),
            Message("b", delay=60),
            Message("c", group="g"),
            Message("d", group="g"),
        ]
    )
    assert q.move(to.name, actor="ann", reason="to the fast workers") == 4
    assert q.stats().held == 0
    assert to.stats().held == 4
    found = drained(to)
    assert {each.id for each in found} == set(ids)
    assert {each.body for each in found} == {"a", "b", "c", "d"}
    for each in (q, to):
        balanced(each)


@pytest.mark.needs(Capability.MOVE, Capability.BOUND)
def test_a_full_queue_takes_no_moved_messages(q: Queue, name: str, using: str) -> None:
    to = queue(f"{name}:to", using=using, max_length=2)
    assert to.declared.max_length == 2
    q.publish_many(range(3))
    with pytest.raises(QueueFull):
        q.move(to.name)
    assert q.stats().held + to.stats().held == 3
    for each in (q, to):
        balanced(each)


@pytest.mark.needs(Capability.MOVE, Capability.BOUND, Capability.EXPIRY, Capability.GROUPS)
def test_what_has_expired_is_not_in_the_way_of_what_is_moved(
    q: Queue, name: str, using: str
) -> None:
    to = queue(f"{name}:to", using=using, max_length=200)
    to.publish_many([Message("over", expires=0.2, group=f"g{n % 2}") for n in range(200)])
    q.publish_many(["new"] * 150)
    pass_time(0.3)
    assert q.move(to.name) == 150
    assert [each.body for each in drained(to)] == ["new"] * 150
    for each in (q, to):
        balanced(each)


@pytest.mark.needs(Capability.PICK)
def test_one_message_is_thrown_away_by_its_id_and_no_other(q: Queue) -> None:
    ids = q.publish_many([*range(5), Message("g1", group="g"), Message("g2", group="g")])
    q.publish_many([Message("d", delay=60), "last"])
    for id_ in (ids[2], ids[5]):
        assert q.purge(only=id_, actor="ann", reason="a bad address") == 1
        assert q.purge(only=id_) == 0
    assert [each.body for each in drained(q)] == [0, 1, 3, 4, "g2", "last"]
    (delayed,) = q.peek(state="delayed")
    assert q.purge(only=delayed.id) == 1
    assert q.stats().held == 0
    balanced(q)


@pytest.mark.needs(Capability.PICK)
def test_what_somebody_has_taken_is_not_picked(q: Queue) -> None:
    (id_,) = q.publish_many(["x"])
    taken = one(q)
    assert q.purge(only=id_) == 0
    taken.ack()
    assert q.purge(only=id_) == 0
    assert q.purge(only="never-there") == 0
    balanced(q)


@pytest.mark.needs(Capability.PICK)
def test_one_dead_letter_gets_another_chance(q: Queue, using: str) -> None:
    ids = q.publish_many(range(3))
    killed(q, 3)
    assert q.redrive(only=ids[1], actor="ann", reason="only this one is good") == 1
    assert [each.id for each in drained(q)] == [ids[1]]
    assert q.stats().dead == 2
    other = queue(f"{q.name}:other", using=using, dead_letter=f"{q.name}.dlq")
    assert other.redrive(only=ids[0]) == 0, "it died elsewhere"
    for each in (q, queue(f"{q.name}.dlq", using=using)):
        balanced(each)


@pytest.mark.needs(Capability.PICK)
def test_one_message_is_moved_from_the_middle_and_the_rest_keep_their_order(
    q: Queue, name: str, using: str
) -> None:
    to = queue(f"{name}:to", using=using, max_length=1)
    assert to.declared.max_length == 1
    ids = q.publish_many(range(300))
    q.publish("behind")
    assert q.move(to.name, only=ids[250]) == 1
    with pytest.raises(QueueFull):
        q.move(to.name, only=ids[2])
    assert [each.body for each in drained(to)] == [250]
    left = [each for each in range(300) if each != 250]
    assert [each.body for each in drained(q)] == [*left, "behind"]
    for each in (q, to):
        balanced(each)


def test_a_queue_declared_otherwise_is_refused_by_name(made: Callable[..., Queue]) -> None:
    made(visibility=5, max_attempts=3).publish("x")
    assert made().declared.visibility_ms == 5_000
    assert made(max_attempts=3).stats().ready == 1
    for given, word in (
        ({"visibility": 6}, "visibility=5, not 6"),
        ({"max_attempts": 4}, "max_attempts=3, not 4"),
        ({"dead_letter": None}, "dead_letter="),
    ):
        with pytest.raises(InvalidArgument, match=word):
            made(**given).publish("y")
    assert made().stats().ready == 1


def test_a_redeclared_queue_is_another_for_everybody(made: Callable[..., Queue]) -> None:
    made(max_attempts=3).publish("x")
    made().redeclare(max_attempts=4)
    assert made().declared.max_attempts == 4
    made(max_attempts=4).publish("y")


def test_a_queue_that_another_process_redeclared_is_known_soon_and_ends_no_work(
    made: Callable[..., Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    bare, given = made(), made(max_attempts=3)
    given.publish("x")
    assert bare.declared.max_attempts == 3
    bare.store.declare(bare.name, {"max_attempts": 4}, replace=True)  # past this process's memory
    monkeypatch.setattr(declared, "FRESH_S", 0.0)
    assert bare.declared.max_attempts == 4
    # It was true when this process began, and an operator's word ends no consumer.
    assert given.declared.max_attempts == 4
    given.publish("y")
    with pytest.raises(InvalidArgument, match="max_attempts=4, not 5"):
        made(max_attempts=5).publish("z")


def test_a_store_knows_its_queues(q: Queue) -> None:
    q.publish("x")
    assert q.name in q.store.names()
