"""Queues in RabbitMQ when connections are cut, the server is frozen or restarted, or is full."""

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction

from coordination import queue
from coordination.connections import rabbitmq_wire
from coordination.exceptions import (
    CoordinationError,
    InvalidArgument,
    NotSupportedByStore,
    OutcomeUnknown,
    QueueFull,
    StaleReceipt,
    StoreUnavailable,
    Unroutable,
)
from coordination.queues.api import Queue
from coordination.queues.delivery import Delivery
from coordination.queues.outbox.tables import OutboxMessage
from tests.contract.queues.taking import drained, one, until
from tests.contract.queues.test_running import running
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration.losing_proxy import LosingProxy
from tests.integration.rabbitmq_node import Node
from tests.integration.rabbitmq_store import configured, node, q

__all__ = ["configured", "node", "q"]

DEADLINE_S = 1.0
QUEUE = "concord.queue."


@contextmanager
def within_the_deadline() -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < DEADLINE_S + 0.5


def published(q: Queue, numbers: range, stop: threading.Event) -> tuple[set[int], set[int]]:
    """Publish until stopped: the numbers that were acknowledged, and those that may be there."""
    sure, unsure = set[int](), set[int]()
    for number in numbers:
        if stop.is_set():
            break
        try:
            q.publish(number)
        except OutcomeUnknown:
            unsure.add(number)
        except StoreUnavailable:
            stop.wait(0.05)
        else:
            sure.add(number)
    return sure, unsure


@pytest.mark.parametrize("trouble", ["connections closed", "restart"])
def test_what_was_acknowledged_is_worked_on_whatever_becomes_of_connections(
    q: Queue, node: Node, trouble: str
) -> None:
    done: Counter[int] = Counter()
    mutex = threading.Lock()

    def handler(message: Delivery) -> None:
        with mutex:
            done[message.body] += 1

    stop = threading.Event()
    found: list[tuple[set[int], set[int]]] = []
    publisher = threading.Thread(target=lambda: found.append(published(q, range(10**6), stop)))
    with running(q, handler):
        publisher.start()
        until(lambda: len(done) > 20)
        if trouble == "restart":
            node.servers.restart("rabbitmq")
        else:
            node.control("close_all_connections", "a test")
        before = len(done)
        until(lambda: len(done) > before + 20)
        stop.set()
        publisher.join(20)
        ((sure, unsure),) = found
        until(lambda: sure <= set(done))
    assert set(done) <= sure | unsure
    assert q.stats().held == 0


def test_a_frozen_server_is_told_within_the_deadline(
    node: Node, configured: Callable[..., None]
) -> None:
    configured(node.url, DEADLINE_S)
    q = queue(f"test:{secrets.token_hex(4)}", using="rabbitmq")
    q.publish_many(range(3))
    first, second = q.reserve(batch=2, wait=5)
    with node.frozen():
        for call in (lambda: q.publish("x"), q.reserve, q.stats, lambda: q.publish("y")):
            with within_the_deadline(), pytest.raises((StoreUnavailable, OutcomeUnknown)):
                call()
        with within_the_deadline():
            first.ack()  # the ledger has it
        with within_the_deadline():
            second.nack(delay=0)
    bodies: list[Any] = []
    until(lambda: bool(bodies.extend(each.body for each in drained(q))) or {1, 2} <= set(bodies))
    assert 0 not in bodies


def test_lost_confirms_lose_nothing_and_a_repetition_is_dropped(
    node: Node, configured: Callable[..., None]
) -> None:
    with LosingProxy(node.port) as proxy:
        configured(node.through(proxy.port))
        q = queue(f"test:{secrets.token_hex(4)}", using="rabbitmq")
        q.publish("warm")
        for number in range(3):
            proxy.lose()
            q.publish(number)  # published again with the same id
        assert proxy.lost == 3
        bodies: list[Any] = []
        until(lambda: bool(bodies.extend(e.body for e in drained(q))) or q.stats().held == 0)
        assert sorted(bodies, key=str) == [0, 1, 2, "warm"]


def test_an_ack_whose_connection_was_lost_counts(
    node: Node, configured: Callable[..., None]
) -> None:
    with LosingProxy(node.port) as proxy:
        configured(node.through(proxy.port))
        q = queue(f"test:{secrets.token_hex(4)}", using="rabbitmq")
        q.publish("once")
        message = one(q)
        proxy.lose()
        with pytest.raises(CoordinationError):
            queue(f"test:{secrets.token_hex(4)}", using="rabbitmq").reserve()
            raise StoreUnavailable
        message.ack()
        assert q.reserve(wait=0.5) == []
        assert q.stats().held == 0


def test_a_late_ack_is_refused_once_another_attempt_has_begun(node: Node, q: Queue) -> None:
    brief = queue(f"{q.name}:brief", using="rabbitmq", visibility=0.05)
    brief.publish("x")
    first = one(brief)
    second = one(brief)
    assert (second.id, second.attempts) == (first.id, 2)
    with pytest.raises(StaleReceipt):
        first.ack()
    second.ack()
    with pytest.raises(StaleReceipt):
        second.ack()
    assert brief.reserve(wait=0.2) == []


def test_a_server_short_of_memory_refuses_publications_and_takes_acks(
    node: Node, configured: Callable[..., None]
) -> None:
    configured(node.url, DEADLINE_S)
    q = queue(f"test:{secrets.token_hex(4)}", using="rabbitmq")
    q.publish_many(range(5))
    node.control("set_vm_memory_high_watermark", "absolute", "1MB")
    try:
        for _ in range(3):
            with within_the_deadline(), pytest.raises((StoreUnavailable, OutcomeUnknown)):
                q.publish("more")
        with pytest.raises(StoreUnavailable, match="short of memory"):
            q.publish("more")
        assert {0, 1, 2, 3, 4} <= {each.body for each in drained(q)}
    finally:
        node.control("set_vm_memory_high_watermark", "absolute", "600MB")

    def publishes() -> bool:
        try:
            return bool(q.publish("after"))
        except (StoreUnavailable, OutcomeUnknown):
            return False

    until(publishes)


def test_a_message_that_is_never_given_up_does_not_meet_the_servers_limit(
    q: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordination.queues.stores.rabbitmq_topology.DELIVERIES_WORN", 3)
    endless = queue(f"{q.name}:endless", using="rabbitmq", dead_letter=None)
    id_ = endless.publish("x", headers={"h": 1})
    for attempt in range(1, 10):
        message = one(endless)
        assert (message.id, message.attempts, message.headers) == (id_, attempt, {"h": 1})
        message.nack(delay=0)
    one(endless).ack()
    assert endless.stats().held == 0


def test_a_full_queue_refuses_and_a_full_dead_letter_queue_loses_nothing(
    q: Queue, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordination.queues.stores.rabbitmq_parting.BURY_AGAIN_S", 0.2)
    q.publish("x")
    letters = queue(f"{q.name}.dlq", using="rabbitmq")
    letters.publish("fills it")
    node.control(
        *("set_policy", "--apply-to", "queues", "full"),
        *(f"^{QUEUE}{q.name}", '{"max-length": 1}'),
    )
    try:
        for each in (q, letters):
            with pytest.raises(QueueFull):
                for number in range(100):  # the server tells its publishers a little late
                    each.publish(number)
        before = letters.stats().ready
        message = one(q)
        message.reject(error="nonsense")
        assert letters.stats().ready == before
    finally:
        node.control("clear_policy", "full")
    monkeypatch.setattr(rabbitmq_wire, "REFUSED_S", 0.2)
    until(lambda: message.id not in {e.id for e in drained(q)} and letters.stats().ready > before)
    (letter,) = (each for each in drained(letters) if each.id == message.id)
    assert (letter.body, letter.source, letter.error) == (message.body, q.name, "nonsense")


def test_a_message_for_a_queue_that_was_deleted_is_unroutable(q: Queue, node: Node) -> None:
    q.publish("x")
    with node.client() as channel:
        channel.queue_delete(QUEUE + q.name)
    with pytest.raises(Unroutable, match="not on the server"):
        q.publish("y")
    assert q.stats().ready == 0  # a consumer makes it anew
    q.publish("z")
    assert one(q).body == "z"


def test_a_publisher_makes_a_queue_anew_that_was_deleted(q: Queue, node: Node) -> None:
    q.publish("x")
    with node.client() as channel:
        channel.queue_delete(QUEUE + q.name)
    with pytest.raises(Unroutable, match="not on the server"):
        q.publish("y")
    q.publish("z")
    assert one(q).body == "z"


def test_a_dead_letter_queue_that_was_deleted_is_made_anew_and_takes_the_letter(
    q: Queue, node: Node
) -> None:
    letters = queue(f"{q.name}.dlq", using="rabbitmq")
    q.publish_many(["first", "second"])
    one(q).reject()
    until(lambda: q.stats().dead == 1)
    with node.client() as channel:
        channel.queue_delete(QUEUE + letters.name)
    assert q.stats().dead == 0
    with node.client() as channel:
        channel.queue_delete(QUEUE + letters.name)
    one(q).reject(error="nonsense")
    until(lambda: q.stats().dead == 1)
    (letter,) = drained(letters)
    assert (letter.body, letter.source, letter.error) == ("second", q.name, "nonsense")
    with node.client() as channel:
        channel.queue_delete(QUEUE + letters.name)
    assert q.redrive() == 0


def test_a_queue_of_delays_that_was_deleted_is_made_anew(q: Queue, node: Node) -> None:
    q.publish("x")
    one(q).nack(delay=0.064)
    message = one(q)
    with node.client() as channel:
        channel.queue_delete("concord.delay.64")
    message.nack(delay=0.064)
    assert one(q).attempts == 3


def test_a_queue_of_somebody_else_is_told(q: Queue, node: Node) -> None:
    with node.client() as channel:
        channel.queue_declare(QUEUE + q.name, durable=True, auto_delete=False)
        with pytest.raises(InvalidArgument, match="other arguments"):
            q.publish("x")
        with pytest.raises(InvalidArgument, match="other arguments"):
            q.reserve()
        channel.queue_delete(QUEUE + q.name)
    q.publish("x")
    assert one(q).body == "x"


@pytest.mark.django_db(transaction=True, databases=ALIASES)
def test_a_message_goes_with_the_commit_of_a_database(q: Queue) -> None:
    with transaction.atomic():
        id_ = q.publish({"n": 1})
        assert q.stats().held == 0
    message = one(q)
    assert (message.id, message.body) == (id_, {"n": 1})
    message.ack()
    with pytest.raises(RuntimeError), transaction.atomic():
        q.publish("never")
        raise RuntimeError
    assert q.stats().held == 0
    assert not OutboxMessage.objects.exists()


def test_tasks_by_name_take_no_messages(q: Queue) -> None:
    from coordination.queues import requests

    requests.publish(q.name, "x", op_id="task-1", using="rabbitmq")
    with pytest.raises(NotSupportedByStore, match="their own process"):
        requests.reserve(q.name, op_id="task-2", using="rabbitmq")
    one(q).ack()
