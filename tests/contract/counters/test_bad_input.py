"""Bad input gets an error that names the value and the rule, before anything is sent."""

from collections.abc import Callable
from typing import Any

import pytest

from coordination import counter
from coordination.counters.api import Counter
from coordination.exceptions import InvalidArgument, InvalidName, NotSupportedByStore

MOST = 2**53 - 1
BAD_AMOUNTS = [1.0, float("nan"), "1", None, True, MOST + 1, -MOST - 1, 1 << 20_000]


@pytest.mark.parametrize("amount", BAD_AMOUNTS, ids=lambda each: type(each).__name__)
def test_an_amount_that_is_no_exact_int_is_refused_and_nothing_changes(
    made: Callable[..., Counter], amount: Any
) -> None:
    c = made()

    for call in (
        lambda: c.add(amount),
        lambda: c.set(amount),
        lambda: c.compare_and_set(amount, 1),
        lambda: c.compare_and_set(0, amount),
        lambda: c.add_many([1, amount]),
        lambda: c.add_many([(amount, "op")]),
    ):
        with pytest.raises(InvalidArgument, match=r"2\^53|must be an int"):
            call()
    assert c.read() == (0, 0)


@pytest.mark.parametrize("op_id", ["", "a b", "{x}", "a" * 201, 5, b"x", "\n"])
def test_an_op_id_that_breaks_the_rules_is_refused(
    made: Callable[..., Counter], op_id: Any
) -> None:
    c = made()

    for call in (
        lambda: c.add(1, op_id=op_id),
        lambda: c.set(1, op_id=op_id),
        lambda: c.reset(op_id=op_id),
        lambda: c.compare_and_set(0, 1, op_id=op_id),
        lambda: c.add_many([(1, op_id)]),
    ):
        with pytest.raises(InvalidArgument):
            call()
    assert c.read() == (0, 0)


@pytest.mark.parametrize(
    "options",
    [
        {"initial": 0.5},
        {"initial": MOST + 1},
        {"minimum": "0"},
        {"maximum": float("inf")},
        {"minimum": 5},
        {"maximum": -1},
        {"minimum": 3, "maximum": 2, "initial": 3},
        {"shards": 0},
        {"shards": 65},
        {"shards": 1 << 600},
        {"shards": True},
        {"shards": 2.0},
    ],
    ids=str,
)
def test_a_declaration_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        counter("a", **options)


@pytest.mark.parametrize("name", ["", "a b", "{a}", "x" * 201, None, 7])
def test_a_name_that_breaks_the_rules_is_refused(name: Any) -> None:
    for make in (
        counter,
        lambda name: counter.window(name, per=1),
        lambda name: counter.rate_limit(name, limit=1, per=1),
    ):
        with pytest.raises(InvalidName):
            make(name)


def test_a_store_that_cannot_is_refused_before_anything_is_sent(settings: Any) -> None:
    settings.COORDINATION = {
        "DEFAULT": "database",
        "STORES": {
            # Nobody listens there.
            "rabbitmq": {"BACKEND": "rabbitmq", "LOCATION": "amqp://127.0.0.1:1"},
            "zookeeper": {"BACKEND": "zookeeper", "LOCATION": "127.0.0.1:1"},
            "database": {"BACKEND": "database", "USING": "default"},
        },
    }
    with pytest.raises(NotSupportedByStore):
        counter("a", using="rabbitmq")
    for using in ("rabbitmq", "zookeeper", "database"):
        with pytest.raises(NotSupportedByStore):
            counter.rate_limit("a", limit=1, per=1, using=using)
    with pytest.raises(NotSupportedByStore):
        counter("a", using="zookeeper", shards=2).read()
    with pytest.raises(InvalidArgument, match="nowhere"):
        counter("a", using="nowhere")


@pytest.mark.parametrize(
    "limit", [0, -1, 10_001, 1.5, True, 1 << 20_000], ids=lambda each: type(each).__name__
)
def test_a_limit_of_history_that_makes_no_sense_is_refused(limit: Any) -> None:
    with pytest.raises(InvalidArgument):
        counter("a").history(limit)


def test_a_batch_that_is_too_long_is_refused_as_a_whole(name: str) -> None:
    c = counter(name, using="redis")

    with pytest.raises(InvalidArgument, match="1000"):
        c.add_many([1] * 1_001)
    assert c.get() == 0


@pytest.mark.parametrize("per", [0, -1, float("nan"), "1", 10**9])
def test_a_time_of_a_window_that_makes_no_sense_is_refused(per: Any) -> None:
    with pytest.raises(InvalidArgument):
        counter.window("a", per=per)


def test_what_never_passes_a_rate_limit_is_refused() -> None:
    limit = counter.rate_limit("a", limit=3, per=1)

    for amount in (4, 0, -1, 1.5):
        with pytest.raises(InvalidArgument):
            limit.hit(amount)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument):
        counter.rate_limit("a", limit=0, per=1)
    with pytest.raises(InvalidArgument):
        counter.rate_limit("a", limit=1, per=1, sliding=1)  # type: ignore[arg-type]
