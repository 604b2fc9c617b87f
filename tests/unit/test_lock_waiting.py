"""What a call for a lock tells its caller when the store does not answer."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from coordination.connections.redis_errors import RedisReplyError, translate_reply
from coordination.exceptions import OutcomeUnknown, StoreUnavailable
from coordination.locks import waiting
from coordination.locks.repeating import repeated
from coordination.locks.types import Kind, Mode, Released, Request, Resource

REQUEST = Request(
    resource=Resource(Kind.LOCK, "a"),
    id="1",
    mode=Mode.EXCLUSIVE,
    ttl_ms=1_000,
    owner="me",
    context="test",
    metadata="{}",
    kept_ms=1_000,
)


class Failing:
    """A store of which only the failures of `acquire` matter."""

    alias, deadline_ms = "failing", 1_000

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.released = 0

    def acquire(self, *_: object, **__: object) -> Any:
        raise self.failures.pop(0)

    def release(self, *_: object, **__: object) -> Released:
        self.released += 1
        return Released.LOST


@pytest.fixture
def taken() -> Callable[[Failing], None]:
    def take(store: Failing) -> None:
        waiting.take(store, REQUEST, wait_s=0)  # type: ignore[arg-type]

    return take


def test_an_unknown_outcome_stays_unknown_when_asking_again_is_refused(
    taken: Callable[[Failing], None],
) -> None:
    with pytest.raises(OutcomeUnknown):
        taken(Failing(OutcomeUnknown("cut"), StoreUnavailable("refused")))


def test_a_repetition_has_only_what_is_left_of_the_deadline() -> None:
    given: list[int] = []

    def slow(deadline_ms: int) -> None:
        given.append(deadline_ms)
        threading.Event().wait(0.05)
        raise OutcomeUnknown("no answer")

    with pytest.raises(OutcomeUnknown):
        repeated(slow, deadline_ms=80)

    assert given[0] == 80
    assert all(deadline_ms <= 30 for deadline_ms in given[1:])


def test_a_call_that_fails_gives_up_what_it_may_have_been_granted(
    taken: Callable[[Failing], None],
) -> None:
    for error in (StoreUnavailable("down"), KeyboardInterrupt()):
        store = Failing(error)  # type: ignore[arg-type]
        with pytest.raises(type(error)):
            taken(store)
        assert store.released == 1


def test_a_refusal_inside_a_script_is_known_as_what_it_is_on_redis_6() -> None:
    text = (
        "ERR Error running script (call to f_6b1bf486): @user_script:84: "
        "@user_script: 84: -OOM command not allowed when used memory > 'maxmemory'. "
    )
    assert isinstance(translate_reply(RedisReplyError(text), "redis"), StoreUnavailable)
