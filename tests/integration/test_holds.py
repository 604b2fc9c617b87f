"""Holds when the reply, the connection or the server fails: each step takes effect once."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings as django_settings
from pytest_django import Settings

from coordination import registry
from coordination.counters.stores.holds import counter_holds
from coordination.counters.types import Rules
from coordination.exceptions import CoordinationError
from coordination.kernel.holds import HoldState
from coordination.queues.stores.holds import queue_holds
from coordination.queues.types import Declaration, Outgoing
from coordination.transactions.branches.answer import InDoubt
from coordination.transactions.types import Actual, Outcome, Vote
from tests.databases import ALIASES, _django_db_helper
from tests.effects import Added, Effect, Published, finish, prepare, prepared
from tests.integration.losing_proxy import LosingProxy as AnyProxy
from tests.integration.own_redis import OwnRedis, own_redis
from tests.integration.own_zookeeper import LosingProxy, OwnZooKeeper, own_zookeeper
from tests.integration.rabbitmq_node import Node
from tests.integration.rabbitmq_store import configured, node
from tests.integration.zookeeper_store import root

__all__ = ["_django_db_helper", "configured", "node", "own_redis", "own_zookeeper", "root"]

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

BRANCH = "cc:holds:1"
KINDS = [Added, Published]


@pytest.fixture
def use(settings: Settings) -> Callable[..., None]:
    """Make something a store, besides those there are."""

    def use(alias: str, location: str, *, deadline_s: float = 5) -> None:
        made = {"BACKEND": alias, "LOCATION": location, "OPTIONS": {"DEADLINE": deadline_s}}
        stores = django_settings.COORDINATION["STORES"]
        settings.COORDINATION = django_settings.COORDINATION | {"STORES": stores | {alias: made}}

    return use


@pytest.fixture
def proxy(own_redis: OwnRedis, use: Callable[..., None]) -> Iterator[AnyProxy]:
    """The way to a Redis; what it loses was done."""
    use("redis", own_redis.url)
    for each in KINDS:
        # So that no reply that is lost says that the server lacks a script.
        effect = each(using="redis")
        finish(prepared(effect.work()), Outcome.COMMITTED)
        finish(effect.work(), Outcome.ABORTED)
    with AnyProxy(own_redis.port) as through:
        use("redis", through.url)
        yield through
        use("redis", own_redis.url)


def steps_of(effect: Effect) -> dict[str, Callable[..., HoldState | None]]:
    """The verbs of the holds of an effect's store."""
    if isinstance(effect, Added):
        holds = counter_holds(effect.using)
        assert holds is not None
        rules = Rules(effect.name, maximum=effect.room)
        return {
            "hold": lambda left_ms: holds.hold(rules, 1, branch=BRANCH, remaining_ms=left_ms),
            "apply": lambda: holds.apply(rules, 1, branch=BRANCH),
            "cancel": lambda: holds.cancel(rules, branch=BRANCH),
            "forget": lambda: holds.forget(rules, branch=BRANCH),
        }
    assert isinstance(effect, Published)
    kept = queue_holds(effect.using)
    assert kept is not None
    declared, batch = effect.queue.declared, [Outgoing(id="aaaa", body="1", headers="{}")]
    return {
        "hold": lambda left_ms: kept.hold(declared, batch, branch=BRANCH, remaining_ms=left_ms),
        "apply": lambda: kept.apply(declared, batch, branch=BRANCH),
        "cancel": lambda: kept.cancel(declared, batch, branch=BRANCH),
        "forget": lambda: kept.forget(declared, branch=BRANCH),
    }


def losing(lose: Callable[[], Any]) -> Callable[[], int]:
    """The time that is left, asked for just before the hold is sent: the next reply is lost."""
    left = [lose]

    def left_ms() -> int:
        while left:
            left.pop()()
        return 9_000

    return left_ms


@pytest.mark.parametrize("kind", KINDS)
def test_steps_in_redis_whose_replies_were_lost_take_effect_once(
    proxy: AnyProxy, kind: type[Effect]
) -> None:
    effect = kind(using="redis")
    step = steps_of(effect)

    assert step["hold"](losing(proxy.lose)) is HoldState.HELD
    proxy.lose()
    assert step["apply"]() is HoldState.APPLIED
    proxy.lose()
    step["forget"]()
    proxy.lose()
    assert step["cancel"]() is HoldState.APPLIED

    assert proxy.lost == 4
    assert effect.seen() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_cancel_in_redis_whose_reply_was_lost_lets_go_once(
    proxy: AnyProxy, kind: type[Effect]
) -> None:
    effect = kind(using="redis", room=1)
    step = steps_of(effect)

    step["hold"](lambda: 9_000)
    proxy.lose()
    assert step["cancel"]() is HoldState.CANCELLED
    assert step["hold"](lambda: 9_000) is HoldState.CANCELLED

    assert proxy.lost == 1
    effect.do()
    assert effect.seen() == 1


def test_steps_in_zookeeper_whose_replies_were_lost_take_effect_once(
    own_zookeeper: OwnZooKeeper, use: Callable[..., None], root: str
) -> None:
    with LosingProxy(own_zookeeper.port) as proxy:
        use("zookeeper", f"{proxy.hosts}{root}", deadline_s=10)
        effect = Added(using="zookeeper", room=1)
        step = steps_of(effect)

        assert step["hold"](losing(proxy.lose_next)) is HoldState.HELD
        assert proxy.lost.is_set()
        proxy.lose_next()
        assert step["apply"]() is HoldState.APPLIED
        assert proxy.lost.is_set()
        proxy.lose_next()
        step["forget"]()
        assert proxy.lost.is_set()

        assert effect.seen() == 1
        assert step["hold"](lambda: 9_000) is HoldState.APPLIED
        assert step["cancel"]() is HoldState.APPLIED
        registry.zookeeper_store("zookeeper").close()


def test_a_commit_in_rabbitmq_whose_confirm_was_lost_is_made_once(
    node: Node, configured: Callable[..., None]
) -> None:
    with AnyProxy(node.port) as proxy:
        configured(node.through(proxy.port))
        published = Published(using="rabbitmq")
        work = prepared(published.work(units=3))

        proxy.lose()
        ended = finish(work, Outcome.COMMITTED)
        taken = published.queue.reserve(10, wait=10)
        while more := published.queue.reserve(10, wait=1):
            taken += more

        assert (proxy.lost, ended.actual) == (1, Actual.COMMITTED)
        # Twice there, perhaps; what was acked of one is dropped of the other.
        assert sorted({each.body["n"] for each in taken}) == [0, 1, 2]


@pytest.mark.parametrize("kind", KINDS)
def test_a_frozen_server_is_a_no_within_the_deadline_and_holds_nothing_afterwards(
    own_redis: OwnRedis, use: Callable[..., None], kind: type[Effect]
) -> None:
    use("redis", own_redis.url, deadline_s=0.3)
    effect = kind(using="redis", room=1)
    effect.seen()  # what the queue is, is known then
    step, work = steps_of(effect), effect.work()

    with pytest.raises(CoordinationError):
        step["hold"](losing(own_redis.freeze))
    ballot = prepare(work)
    with pytest.raises(InDoubt):
        finish(work, Outcome.ABORTED)
    own_redis.thaw()
    ended = finish(work, Outcome.ABORTED)
    step["cancel"]()

    assert (ballot.vote, ended.actual) == (Vote.NO, Actual.ABORTED)
    effect.do()
    assert effect.seen() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_is_gone_delays_the_commit_and_nothing_else(
    own_redis: OwnRedis, use: Callable[..., None], kind: type[Effect], tmp_path: Any
) -> None:
    own_redis.kill()
    own_redis._options = ("--appendonly", "yes", "--appendfsync", "always")
    own_redis.start()
    use("redis", own_redis.url)
    effect = kind(using="redis")
    work = prepared(effect.work())

    own_redis.kill()
    with pytest.raises(InDoubt):
        finish(work, Outcome.COMMITTED)
    own_redis.start()

    assert finish(work, Outcome.COMMITTED).actual is Actual.COMMITTED
    assert effect.seen() == 1


def test_a_declaration_is_not_asked_for_by_a_cancel(own_redis: OwnRedis, use: Any) -> None:
    use("redis", own_redis.url)
    published = Published(using="redis")

    finish(published.work(), Outcome.ABORTED)

    kept = queue_holds("redis")
    assert kept is not None
    assert own_redis.client().keys("*config*") == []
    assert isinstance(published.queue.declared, Declaration)
