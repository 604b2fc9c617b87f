"""Functions that run while they hold a lock."""

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from coordination import locked
from coordination.exceptions import InvalidArgument, InvalidName, LockTimeout
from coordination.locks.api import Lock
from coordination.locks.grant import Grant


def test_the_name_is_made_of_the_arguments(
    made: Callable[..., Lock], name: str, using: str
) -> None:
    @locked("{prefix}", using=using)
    def work(prefix: str, factor: int = 2) -> int:
        assert made().acquire(wait=0) is None
        return factor * 21

    assert work(name) == 42
    assert work(prefix=name, factor=1) == 21
    assert made().info().holders == ()


def test_the_name_may_speak_of_attributes_and_defaults(name: str, using: str) -> None:
    @locked("{order.pk}:{part}", using=using, pass_as="grant")
    def work(order: SimpleNamespace, part: str = "all", grant: Grant | None = None) -> str:
        assert grant is not None
        return grant.name

    assert work(SimpleNamespace(pk=name)) == f"{name}:all"


@pytest.mark.parametrize("on_busy", ["raise", "wait", "retry"])
def test_a_busy_lock_raises(made: Callable[..., Lock], name: str, using: str, on_busy: str) -> None:
    @locked(name, using=using, on_busy=on_busy, wait=0.05)
    def work() -> None:
        pytest.fail("ran")

    with made(), pytest.raises(LockTimeout):
        work()


def test_a_busy_lock_may_be_skipped(made: Callable[..., Lock], name: str, using: str) -> None:
    @locked(name, using=using, on_busy="skip")
    def work() -> str:
        return "ran"

    with made():
        assert work() is None
    assert work() == "ran"


def test_a_timeout_of_the_body_is_not_taken_for_a_busy_lock(name: str, using: str) -> None:
    @locked(name, using=using, on_busy="skip")
    def work() -> None:
        raise LockTimeout("of something else")

    with pytest.raises(LockTimeout, match="something else"):
        work()


async def test_coroutine_functions_are_locked(
    made: Callable[..., Lock], name: str, using: str
) -> None:
    @locked(name, using=using, on_busy="skip")
    async def work() -> str:
        return "ran"

    async with made():
        assert await work() is None
    assert await work() == "ran"


def test_what_makes_no_sense_is_refused_where_it_decorates(using: str) -> None:
    def work(order_id: int) -> None:
        pytest.fail("ran")

    with pytest.raises(InvalidArgument, match="no argument 'order'"):
        locked("order:{order}")(work)
    with pytest.raises(InvalidArgument, match="on_busy must be one of"):
        locked("order", on_busy="explode")
    with pytest.raises(InvalidArgument, match="is a generator"):

        @locked("order")
        def numbers() -> object:
            yield 1

    with pytest.raises(InvalidArgument, match="no timeout="):
        locked("order", timeout=3)
    with pytest.raises(InvalidName):
        locked("order:{order_id}", using=using)(work)("a b")  # type: ignore[arg-type]
