"""What RabbitMQ cannot keep of a message, in a real Redis."""

import secrets

import pytest

from coordination import conf, registry
from coordination.queues.stores.rabbitmq_ledger import Begun, Delivered, Fate, Mark, copy_after
from coordination.queues.stores.rabbitmq_ledger_redis import RedisLedger
from coordination.queues.types import Verb
from tests.contract.queues.taking import until

DAY_MS = 86_400_000
LEASE_MS = 30_000


@pytest.fixture
def ledger() -> RedisLedger:
    return RedisLedger(registry.redis_store("redis"), alias="rabbitmq")


@pytest.fixture
def name() -> str:
    return f"test:{secrets.token_hex(4)}"


def begun(
    ledger: RedisLedger, name: str, copy: str = "a", *, op: str = "op", lease_ms: int = LEASE_MS
) -> Begun:
    messages = [Delivered("id", copy)]
    (told,) = ledger.begin(name, messages, op=op, most=0, lease_ms=lease_ms, deadline_ms=None)
    return told


def settled(ledger: RedisLedger, name: str, mark: Mark) -> bool:
    (good,) = ledger.settle(name, [mark], op=secrets.token_hex(4), deadline_ms=None)
    return good


def kept_ms(name: str) -> int:
    key = f"concord:{{rabbitmq:rabbitmq:{name}}}:message:id"
    kept: int = registry.redis_store("redis").call("PTTL", key)
    return kept


@pytest.mark.parametrize("ended", [False, True])
def test_that_a_message_is_done_is_remembered_as_long_as_an_op_id(
    ledger: RedisLedger, name: str, ended: bool
) -> None:
    begun(ledger, name)
    if ended:
        ledger.end(name, ["id"], op="op")
    else:
        assert settled(ledger, name, Mark("id", 1, "op", Verb.ACK))
    assert kept_ms(name) > conf.current().op_id_ttl_ms - 60_000
    assert begun(ledger, name).fate is Fate.DONE


@pytest.mark.parametrize("ended", [False, True])
def test_a_message_is_remembered_until_its_longest_delay_is_over(
    ledger: RedisLedger, name: str, ended: bool
) -> None:
    begun(ledger, name)
    assert settled(ledger, name, Mark("id", 1, "op", Verb.RETRY, "", 30 * DAY_MS))
    assert kept_ms(name) > 30 * DAY_MS
    assert begun(ledger, name, copy_after(1, "op"), op="next").attempts == 2
    assert kept_ms(name) > 30 * DAY_MS
    if ended:
        ledger.end(name, ["id"], op="next")
    else:
        assert settled(ledger, name, Mark("id", 2, "next", Verb.ACK))
    assert kept_ms(name) > 30 * DAY_MS
    assert begun(ledger, name, "a").fate is Fate.DONE


def test_what_was_put_off_is_begun_by_the_copy_that_was_put_off(
    ledger: RedisLedger, name: str
) -> None:
    begun(ledger, name, "a")
    assert settled(ledger, name, Mark("id", 1, "op", Verb.RETRY, "", 60_000))
    assert ledger.delayed(name) == 1
    # The one in hand, another that was published at the same time, and one of somebody else.
    for copy in ("a", "b", ""):
        early = begun(ledger, name, copy, op="next")
        assert (early.fate, early.taker, early.attempts) == (Fate.EARLY, "op", 1)
        assert 50_000 < early.left_ms <= 60_000
    assert ledger.delayed(name) == 1
    # Its own clock may go wrong: this one has waited.
    told = begun(ledger, name, copy_after(1, "op"), op="next")
    assert (told.fate, told.attempts, told.suspect) == (Fate.BEGUN, 2, False)
    assert ledger.delayed(name) == 0


def test_what_was_put_off_is_begun_by_any_copy_when_it_is_due(
    ledger: RedisLedger, name: str
) -> None:
    begun(ledger, name, "a")
    assert settled(ledger, name, Mark("id", 1, "op", Verb.RETRY, "", 100))
    until(lambda: begun(ledger, name, "a", op="next").fate is Fate.BEGUN)


def test_a_copy_is_a_twin_while_another_is_in_hand(ledger: RedisLedger, name: str) -> None:
    assert begun(ledger, name, "a").fate is Fate.BEGUN
    assert begun(ledger, name, "b", op="other").fate is Fate.TWIN
    assert begun(ledger, name, "b").fate is Fate.TWIN
    again = begun(ledger, name, "a")  # the same call
    assert (again.fate, again.attempts, again.suspect) == (Fate.BEGUN, 1, False)
    again = begun(ledger, name, "a", op="other")  # its taker vanished
    assert (again.fate, again.attempts, again.suspect) == (Fate.BEGUN, 2, True)
    assert settled(ledger, name, Mark("id", 2, "other", Verb.RELEASE))
    assert begun(ledger, name, "b", op="third").attempts == 2


def test_a_copy_is_no_twin_once_the_lease_of_the_other_has_ended(
    ledger: RedisLedger, name: str
) -> None:
    """Its queue may have been deleted with it, and then nobody would give it out again."""
    begun(ledger, name, "a", lease_ms=50)
    until(lambda: begun(ledger, name, "b", op="other").fate is not Fate.TWIN)
    assert begun(ledger, name, "b", op="other").attempts == 2


def test_an_op_says_one_thing(ledger: RedisLedger, name: str) -> None:
    for content in ("first", "second", "first"):
        assert ledger.said(name, "op", content, 60_000, deadline_ms=None) == "first"
    assert ledger.said(f"{name}:other", "op", "second", 60_000, deadline_ms=None) == "second"
