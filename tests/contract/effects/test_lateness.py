"""What comes late, or again after its barrier was undone, or when the store has forgotten."""

from collections.abc import Callable

import pytest
from django.db import connections

from coordination import registry
from coordination.counters.stores.holds import counter_holds
from coordination.counters.types import Rules
from coordination.kernel.gids import branch_gid
from coordination.kernel.holds import HoldState
from coordination.queues.stores.holds import queue_holds
from coordination.queues.types import Declaration, Outgoing
from coordination.transactions.branches.answer import EndedOtherwise
from coordination.transactions.context import Context
from coordination.transactions.participants import lookup
from coordination.transactions.types import Actual, Outcome, Vote, Work
from tests.databases import ALIASES
from tests.effects import Added, Effect, effect_of, finish, prepare, prepared

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

ELSEWHERE = ["counter-redis", "counter-zookeeper", "queue-redis", "queue-rabbitmq"]


@pytest.fixture(params=ELSEWHERE)
def far(request: pytest.FixtureRequest, transactional_db: None) -> Effect:
    """Of a store that shares no transaction with the barrier."""
    return effect_of(request)


# ZooKeeper loses nothing while a majority of its servers lives.
@pytest.fixture(params=[each for each in ELSEWHERE if "zookeeper" not in each])
def forgetful(request: pytest.FixtureRequest, transactional_db: None) -> Effect:
    """Of a store that may lose what it has confirmed."""
    return effect_of(request)


def undo_barriers(work: Work, *ops: str) -> None:
    """As if the database had lost the end of the transaction with them."""
    with connections[work.using].cursor() as cursor:
        for op in ops:
            cursor.execute(
                "DELETE FROM concord_barrier WHERE branch_gid = %s AND op = %s",
                (branch_gid(work.gid, work.seq), op),
            )


def hold(effect: Effect, *, branch: str, remaining_ms: Callable[[], int]) -> HoldState:
    if isinstance(effect, Added):
        holds = counter_holds(effect.using)
        assert holds is not None
        return holds.hold(Rules(effect.name), 1, branch=branch, remaining_ms=remaining_ms)
    kept = queue_holds(effect.using)
    assert kept is not None
    declared = Declaration(
        name=effect.name, visibility_ms=1_000, max_attempts=5, dead_letter=None, max_length=None
    )
    batch = [Outgoing(id="aaaa", body="1", headers="{}")]
    return kept.hold(declared, batch, branch=branch, remaining_ms=remaining_ms)


def test_a_hold_that_comes_after_the_deadline_keeps_nothing(far: Effect) -> None:
    assert hold(far, branch="cc:late:1", remaining_ms=lambda: 0) is HoldState.LATE
    assert hold(far, branch="cc:late:1", remaining_ms=lambda: 9_000) is HoldState.HELD


def test_a_reserve_whose_barrier_was_undone_is_made_again_and_counts_once(far: Effect) -> None:
    work = prepared(far.work())
    undo_barriers(work, "try")

    prepared(work)
    finish(work, Outcome.COMMITTED)

    assert far.seen() == 1


def test_a_reserve_whose_barrier_was_undone_is_let_go_by_the_abort(far: Effect) -> None:
    far.room = None if far.using == "rabbitmq" else 1
    work = prepared(far.work())
    undo_barriers(work, "try")

    ended = finish(work, Outcome.ABORTED)
    other = prepare(far.work())

    assert (ended.actual, other.vote, far.seen()) == (Actual.ABORTED, Vote.YES, 0)


def test_a_commit_whose_barrier_was_undone_is_made_once(far: Effect) -> None:
    work = prepared(far.work())

    for _ in range(3):
        assert finish(work, Outcome.COMMITTED).actual is Actual.COMMITTED
        undo_barriers(work, "confirm")

    assert far.seen() == 1


def test_a_commit_that_comes_when_all_is_forgotten_does_nothing(far: Effect) -> None:
    """As of a process that was stopped in the middle of it for longer than anything is kept."""
    work = prepared(far.work())
    finish(work, Outcome.COMMITTED)
    forget_ended(far)
    confirm = lookup(work.participant).confirm
    assert confirm is not None

    context = Context(gid=work.gid, branch=branch_gid(work.gid, work.seq))
    if far.using == "zookeeper":
        confirm(context, **work.args)  # it is remembered with the calls, as long as those are
    else:
        with pytest.raises(EndedOtherwise):
            confirm(context, **work.args)

    assert far.seen() == 1


def test_what_the_store_has_lost_is_a_heuristic_and_not_made_up(forgetful: Effect) -> None:
    work = prepared(forgetful.work())
    lose_holds(forgetful)

    ended = finish(work, Outcome.COMMITTED)

    assert (ended.actual, forgetful.seen()) == (Actual.HEURISTIC_ROLLBACK, 0)
    assert "gone" in ended.reason
    assert forgetful.name in ended.reason


def test_that_it_was_applied_is_remembered_until_the_barrier_is_durable(forgetful: Effect) -> None:
    work = prepared(forgetful.work())
    participant = lookup(work.participant)
    context = Context(gid=work.gid, branch=branch_gid(work.gid, work.seq))

    assert participant.confirm is not None
    assert participant.ended is not None
    participant.confirm(context, **work.args)
    before = lives_ms(forgetful)
    participant.ended(context, **work.args)

    assert before == [-1]
    assert [1 < each <= 86_400_000 for each in lives_ms(forgetful)] == [True]


def keys(effect: Effect, what: str) -> list[bytes]:
    found: list[bytes] = registry.redis_store("redis").call("KEYS", f"*{what}:*")
    return [each for each in found if effect.name.encode() in each]


def lives_ms(effect: Effect) -> list[int]:
    return [registry.redis_store("redis").call("PTTL", key) for key in keys(effect, "ended")]


def forget_ended(effect: Effect) -> None:
    for key in keys(effect, "ended"):
        registry.redis_store("redis").call("DEL", key)


def lose_holds(effect: Effect) -> None:
    redis = registry.redis_store("redis")
    for key in redis.call("KEYS", "*holds*"):
        if effect.name.encode() in key:
            redis.call("DEL", key)
