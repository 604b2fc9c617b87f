"""A register holds one value for ever, on every kind of store."""

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from coordination.consensus.api import WriteOnce, forget_before, register
from coordination.exceptions import CoordinationError, InvalidArgument, RegisterForgotten

Made = Callable[..., WriteOnce]
REGISTERS, WRITERS = 40, 6


def test_the_first_value_is_the_value(made: Made) -> None:
    cell = made()

    assert cell.read() is None
    assert cell.decide("yes") == "yes"
    assert cell.decide("no") == "yes"
    assert cell.read() == "yes"
    assert made().read() == "yes"


def test_a_value_is_any_text(made: Made) -> None:
    text = 'ß\N{SNOWMAN} {"a": 1}\n\'--\\ ' + "x" * 16_000

    assert made().decide(text) == text
    assert made().read() == text


def test_an_opening_is_decided_like_any_value(made: Made) -> None:
    cell = made(opening="yes")

    assert cell.decide("yes") == "yes"
    assert cell.decide("no") == "yes"
    assert cell.read() == "yes"


def test_another_value_may_come_before_the_opening(made: Made) -> None:
    cell = made(opening="yes")

    assert cell.decide("no") == "no"
    assert cell.decide("yes") == "no"


def test_name_period_and_opening_are_the_identity(made: Made) -> None:
    cells = [made(), made(opening="a"), made(opening="b"), made(period=7), made(period=8)]

    for number, cell in enumerate(cells):
        assert cell.decide(str(number)) == str(number)
    assert [cell.read() for cell in cells] == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize("opening", [None, "w0"])
def test_writers_at_once_all_get_one_and_the_same_value(
    using: str, opening: str | None, threads: ThreadPoolExecutor
) -> None:
    start = Barrier(WRITERS)
    names = [f"test:{secrets.token_hex(6)}" for _ in range(REGISTERS)]

    def write(number: int) -> list[str]:
        cells = [register(name, using=using, opening=opening, deadline=20) for name in names]
        start.wait(10)
        return [cell.decide(f"w{number}") for cell in cells]

    told = list(threads.map(write, range(WRITERS)))

    for answers in zip(*told, strict=True):
        assert len(set(answers)) == 1
    held = [register(name, using=using, opening=opening).read() for name in names]
    assert held == told[0]


def test_what_is_forgotten_is_refused_and_never_decided_anew(made: Made, using: str) -> None:
    period = 1_000 + secrets.randbelow(1_000)
    old, new, kept = made(period=period - 1), made(period=period), made()
    for cell in (old, new, kept):
        cell.decide("yes")

    forget_before(period, using=using)

    for ask in (old.read, lambda: old.decide("no"), made(period=0).read):
        with pytest.raises(RegisterForgotten) as refused:
            ask()
        assert refused.value.applied is False
    assert (new.read(), kept.read()) == ("yes", "yes")
    forget_before(period - 5, using=using)
    with pytest.raises(RegisterForgotten):
        old.read()


@pytest.mark.parametrize("value", ["", "a\x00b", "\ud800", "x" * 20_000, 5, None])
def test_a_bad_value_is_refused_before_anything_is_written(made: Made, value: str) -> None:
    with pytest.raises(InvalidArgument, match="register"):
        made().decide(value)
    assert made().read() is None


@pytest.mark.parametrize(
    "identity",
    [{"period": -1}, {"period": 2**31}, {"opening": "a b"}, {"opening": "x" * 65}],
    ids=str,
)
def test_a_bad_identity_is_refused(name: str, identity: dict[str, object]) -> None:
    with pytest.raises(CoordinationError) as refused:
        register(name, using="database", **identity)  # type: ignore[arg-type]
    assert isinstance(refused.value, ValueError)
