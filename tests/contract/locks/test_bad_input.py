"""What is refused before anything is sent."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from coordination import lock
from coordination.exceptions import InvalidArgument, InvalidName
from coordination.locks.api import Lock
from coordination.locks.store import LockStore
from coordination.locks.types import Released
from tests.contract.locks.asking import asked, have


@pytest.mark.parametrize("bad", ["", "a b", "x" * 201, "a{b}", "a\n", None, 7])
def test_a_bad_name_is_refused_before_anything_is_sent(bad: object, using: str) -> None:
    with pytest.raises(InvalidName, match="lock name"):
        lock(bad, using=using)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"ttl": 0}, "ttl must be more than 0"),
        ({"ttl": float("nan")}, "ttl must be a finite"),
        ({"ttl": 86_401}, "ttl must be at most 86400"),
        ({"wait": -1}, "wait must be 0 or more"),
        ({"timeout": 3}, "no timeout=: pass wait=.*ttl="),
        ({"tttl": 3}, "Did you mean 'ttl'"),
        ({"owner": ""}, "owner"),
        ({"metadata": {"a": object()}}, "metadata"),
        ({"metadata": {"a": "x" * 5_000}}, "limit is 4096"),
        ({"using": "reddis"}, "Did you mean 'redis'"),
    ],
)
def test_a_bad_option_is_refused_before_anything_is_sent(
    options: dict[str, object], match: str, made: Callable[..., Lock], name: str
) -> None:
    with pytest.raises(ValueError, match=match):
        lock(name, **options)


def test_an_intervention_needs_a_reason_and_a_name(name: str, using: str) -> None:
    for said in ({"reason": " ", "actor": "me"}, {"reason": "stuck", "actor": ""}):
        with pytest.raises(InvalidArgument, match="must be a text"):
            lock.force_release(name, using=using, **said)


def test_other_calls_do_not_disturb_each_other(store: LockStore, name: str) -> None:
    one, other = asked(name), asked(f"{name}:other")

    assert have(store.acquire(one, stay_ms=0)).token
    assert have(store.acquire(other, stay_ms=0)).token
    assert store.renew([one, other, replace(one, id="unknown")])[2] is None
    assert [store.release(each) for each in (one, other)] == [Released.RELEASED] * 2
