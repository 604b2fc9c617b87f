"""Optimistic names on every store that has them."""

from typing import Any

import pytest

from coordination import optimistic
from coordination.exceptions import ConflictError, InvalidArgument, InvalidName, NotSupportedByStore
from coordination.versions.attempt import Attempt
from tests.contract.threads import at_once


def write(store: str, name: str, value: Any) -> None:
    optimistic.run(lambda a: a.set(value), name, using=store, retries=1000)


def write_elsewhere(store: str, name: str, value: Any) -> None:
    """On a connection of its own, and committed."""
    at_once(lambda: write(store, name, value))


def read(store: str, name: str) -> tuple[Any, int]:
    return optimistic.run(lambda a: (a.value, a.version), name, using=store)


def test_a_name_nobody_wrote_is_none_at_version_0(store: str, name: str) -> None:
    assert read(store, name) == (None, 0)


@pytest.mark.parametrize(
    "value", [0, "x", "", False, [1, [None]], {"a": {"b": 1.5}}, None, 2**53 - 1, "é\u2028"]
)
def test_a_value_is_kept_as_it_was_given(store: str, name: str, value: Any) -> None:
    write(store, name, value)
    assert read(store, name) == (value, 1)


def test_each_write_is_a_version(store: str, name: str) -> None:
    for version in range(1, 4):
        for attempt in optimistic(name, using=store):
            with attempt as a:
                assert (a.version, a.number) == (version - 1, 1)
                a.set("not this")
                a.set(version)
                assert a.value == (version - 1 or None)
        assert attempt.succeeded
    assert read(store, name) == (3, 3)


def test_an_attempt_that_met_a_change_is_made_again(store: str, name: str) -> None:
    write(store, name, 10)
    seen = []
    for attempt in optimistic(name, using=store):
        with attempt as a:
            seen.append((a.number, a.value))
            if len(seen) == 1:
                write_elsewhere(store, name, 20)
            a.set(a.value + 1)

    assert seen == [(1, 10), (2, 20)]
    assert read(store, name) == (21, 3)


def test_two_who_begin_a_name_do_not_both_win(store: str, name: str) -> None:
    seen = []
    for attempt in optimistic(name, using=store):
        with attempt as a:
            seen.append(a.value)
            if len(seen) == 1:
                write_elsewhere(store, name, "theirs")
            a.set("mine")

    assert seen == [None, "theirs"]
    assert read(store, name) == ("mine", 2)


@pytest.mark.parametrize("retries", [0, 2])
def test_the_last_conflict_is_an_error(store: str, name: str, retries: int) -> None:
    tried = []
    with pytest.raises(ConflictError, match=r"met a change by others in \d attempts?;") as told:
        for attempt in optimistic(name, using=store, retries=retries):
            with attempt as a:
                tried.append(a.number)
                write_elsewhere(store, name, len(tried))
                a.set("mine")

    assert tried == list(range(1, retries + 2))
    assert read(store, name) == (retries + 1, retries + 1)
    assert (told.value.name, told.value.store, told.value.applied) == (name, store, False)


@pytest.mark.parametrize("written_before", [True, False])
def test_an_attempt_that_only_reads_is_verified_too(
    store: str, name: str, written_before: bool
) -> None:
    if written_before:
        write(store, name, 1)
    seen = []
    for attempt in optimistic(name, using=store):
        with attempt as a:
            seen.append(a.value)
            if len(seen) == 1:
                write_elsewhere(store, name, 2)

    first = 1 if written_before else None
    # A transaction of SQLite that only reads sees one moment: it was as if it ended before.
    assert seen == ([first] if store == "lite" else [first, 2])


def test_an_error_of_the_body_ends_the_loop_and_writes_nothing(store: str, name: str) -> None:
    tried = []
    with pytest.raises(ZeroDivisionError):
        for attempt in optimistic(name, using=store):
            with attempt as a:
                tried.append(a)
                a.set("mine")
                _ = 1 / 0

    assert len(tried) == 1
    assert not tried[0].succeeded
    assert read(store, name) == (None, 0)


def test_leaving_early_writes_what_was_set(store: str, name: str) -> None:
    for attempt in optimistic(name, using=store):
        with attempt as a:
            a.set(1)
            break
    for attempt in optimistic(name, using=store):
        with attempt as a:
            a.set(a.value + 1)
            continue
    for _ in optimistic(name, using=store):
        break
    assert read(store, name) == (2, 2)


def test_many_increments_at_once_end_with_the_exact_sum(store: str, name: str) -> None:
    def increment() -> None:
        for _ in range(10):
            optimistic.run(lambda a: a.set((a.value or 0) + 1), name, using=store, retries=1000)

    at_once(*[increment] * 4)

    assert read(store, name) == (40, 40)


def test_run_returns_what_the_function_did(store: str, name: str) -> None:
    def take(a: Attempt) -> str:
        a.set([a.number])
        return f"taken at {a.version}"

    assert optimistic.run(take, name, using=store) == "taken at 0"


def test_an_attempt_is_for_within_its_block(store: str, name: str) -> None:
    for attempt in optimistic(name, using=store):
        for use in (lambda a: a.value, lambda a: a.version, lambda a: a.set(1)):
            with pytest.raises(InvalidArgument, match="within its block"):
                use(attempt)
        with attempt as a:
            a.set(1)
        with pytest.raises(InvalidArgument, match="within its block"):
            a.set(2)
        with pytest.raises(InvalidArgument, match="each turn of the loop has its own"):
            with attempt:
                pytest.fail("entered")
    kept = []
    for attempt in optimistic(name, using=store):
        kept.append(attempt)
        break
    with pytest.raises(InvalidArgument, match="each turn of the loop has its own"):
        with kept[0]:
            pytest.fail("entered")
    assert read(store, name) == (1, 1)


def test_a_loop_that_does_nothing_with_its_attempt_is_an_error(store: str, name: str) -> None:
    with pytest.raises(InvalidArgument, match="with attempt as a"):
        for _ in optimistic(name, using=store):
            pass


def test_an_attempt_within_one_on_the_same_name_is_an_error(store: str, name: str) -> None:
    with pytest.raises(InvalidArgument, match="is under way around this one"):
        for attempt in optimistic(name, using=store):
            with attempt as a:
                a.set(1)
                write(store, name, 2)
    write(store, name, 3)  # nothing is left behind of it

    for attempt in optimistic(name, using=store):
        with attempt as a:
            write(store, f"{name}:other", 5)
            a.set(4)
    assert read(store, name) == (4, 2)
    assert read(store, f"{name}:other") == (5, 1)


def test_a_value_that_json_cannot_carry_is_refused_at_once(store: str, name: str) -> None:
    for value, match in ((object(), "JSON cannot"), (2**53, "beyond"), ("x" * 300_000, "limit is")):
        with pytest.raises(InvalidArgument, match=match):
            write(store, name, value)
    assert read(store, name) == (None, 0)


@pytest.mark.parametrize(
    ("arguments", "options", "match"),
    [
        (("a b",), {}, "optimistic name"),
        ((None,), {}, "optimistic name"),
        (("a",), {"retries": -1}, "from 0 to 10000, not -1"),
        (("a",), {"retries": 1.5}, "must be a number, not 1.5"),
        (("a",), {"retries": True}, "must be a number"),
        (("a",), {"using": "reddis"}, "Did you mean 'redis'"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(
    arguments: tuple[Any, ...], options: dict[str, Any], match: str
) -> None:
    with pytest.raises((InvalidArgument, InvalidName), match=match):
        optimistic(*arguments, **options)
    with pytest.raises((InvalidArgument, InvalidName), match=match):
        optimistic.run(lambda _: None, *arguments, **options)


def test_run_wants_a_function_first() -> None:
    with pytest.raises(InvalidArgument, match="takes a function first, not 'a'"):
        optimistic.run("a", lambda _: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ["zookeeper", "rabbitmq"])
def test_a_store_without_names_says_so_before_anything_is_sent(settings: Any, backend: str) -> None:
    redis = settings.COORDINATION["STORES"]["redis"]
    stores = {"redis": redis, "other": {"BACKEND": backend, "LOCATION": "127.0.0.1:1"}}
    settings.COORDINATION = {"NODE": "test", "STORES": stores, "DEFAULT": "redis"}
    with pytest.raises(NotSupportedByStore, match=backend):
        optimistic("a", using="other")
