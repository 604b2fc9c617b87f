"""Bad input is refused when it is given, as `publish` and `add` do, and changes nothing."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import transaction

from coordination import counter, distributed_transaction, queue
from coordination.exceptions import InvalidArgument, InvalidName, NotSupportedByStore
from coordination.transactions.api import BRANCHES_MAX
from tests.databases import ALIASES

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)
NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("body", "options", "error"),
    [
        (object(), {}, InvalidArgument),
        (math.nan, {}, InvalidArgument),
        ("x" * 300_000, {}, InvalidArgument),
        ("x", {"prioritty": 1}, InvalidArgument),
        ("x", {"priority": 10}, InvalidArgument),
        ("x", {"delay": -1}, InvalidArgument),
        ("x", {"delay": 1, "eta": NOW}, InvalidArgument),
        ("x", {"headers": {1: 2}}, InvalidArgument),
        ("x", {"group": "a b"}, InvalidName),
        ("x", {"using": "nowhere"}, InvalidArgument),
    ],
)
def test_a_message_that_cannot_be_published_is_refused(
    body: Any, options: dict[str, Any], error: type[Exception]
) -> None:
    tx = distributed_transaction("bad")

    with pytest.raises(error):
        tx.publish("emails", body, **options)
    with pytest.raises(InvalidArgument, match="empty"):
        tx.submit()


@pytest.mark.parametrize(
    ("amount", "options", "error"),
    [
        (1.0, {}, InvalidArgument),
        (True, {}, InvalidArgument),
        ("1", {}, InvalidArgument),
        (2**53, {}, InvalidArgument),
        (1, {"minimum": 2, "initial": 1}, InvalidArgument),
        (1, {"shards": 2, "maximum": 9}, NotSupportedByStore),
        (1, {"using": "nowhere"}, InvalidArgument),
    ],
)
def test_an_amount_that_cannot_be_added_is_refused(
    amount: Any, options: dict[str, Any], error: type[Exception]
) -> None:
    tx = distributed_transaction("bad")

    with pytest.raises(error):
        tx.add("sold", amount, **options)
    with pytest.raises(InvalidArgument, match="empty"):
        tx.submit()


def test_a_bad_one_leaves_the_good_ones_as_they_are(rabbitmq_queues: str) -> None:
    tx = distributed_transaction("half")
    tx.add("half:a", 2, using="redis")
    tx.publish("half.q", "good", using="redis")

    with pytest.raises(InvalidArgument):
        tx.add("half:a", 2**53 - 1, using="redis")
    with pytest.raises(InvalidArgument, match="otherwise"):
        tx.add("half:a", 1, using="redis", minimum=0)
    with pytest.raises(InvalidArgument):
        tx.publish("half.q", object(), using="redis")
    with pytest.raises(NotSupportedByStore):
        tx.publish("half.q", "x", using=rabbitmq_queues, priority=1)
    tx.submit()

    assert tx.result(until="applied") == "committed"
    assert counter("half:a", using="redis").get() == 2
    (taken,) = queue("half.q", using="redis").reserve(10)
    assert taken.body == "good"
    taken.ack()
    counter("half:a", using="redis").reset()


def test_options_go_with_the_name_or_with_what_was_declared() -> None:
    tx = distributed_transaction("twice")

    with pytest.raises(InvalidArgument, match="belong"):
        tx.add(counter("a", using="redis"), 1, minimum=0)
    with pytest.raises(InvalidArgument, match="belongs"):
        tx.publish(queue("a", using="redis"), 1, using="redis")


def test_inside_a_block_of_the_stores_database_it_is_refused() -> None:
    tx = distributed_transaction("inside")

    with transaction.atomic(), pytest.raises(InvalidArgument, match="atomic"):
        tx.add("a", using="database")
    with pytest.raises(InvalidArgument, match="empty"):
        tx.submit()


def test_there_is_a_limit_to_branches() -> None:
    tx = distributed_transaction("many")
    for number in range(BRANCHES_MAX):
        tx.add(f"many:{number}", using="redis")

    tx.add("many:0", using="redis")
    with pytest.raises(InvalidArgument, match="at most"):
        tx.publish("many", 1, using="redis")


def test_a_queue_declared_otherwise_is_a_no_that_says_so() -> None:
    queue("declared.so", using="redis", max_length=3).publish(1)
    tx = distributed_transaction("otherwise")
    tx.publish(queue("declared.so", using="redis", max_length=4), 1)
    tx.submit()

    assert tx.result(until="applied") == "aborted"
    queue("declared.so", using="redis").purge(actor="a test", reason="for the next run")
