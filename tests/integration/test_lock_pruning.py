"""Old history of locks is forgotten, and what is left can be folded again."""

from __future__ import annotations

import pytest

from coordination import lock
from coordination.locks.pruning import Pruner
from coordination.locks.recording import LockProjection
from coordination.locks.records import LockGrant, LockRecord
from coordination.locks.stores import lock_store
from coordination.observing.journal import Journal
from coordination.observing.rebuild import rebuild
from tests.contract.locks.asking import asked, held
from tests.integration.lock_observing import (
    audit,
    kinds,
    observe,
    own,
    record,
    run_sql,
    use,
)
from tests.integration.own_redis import OwnRedis, own_redis

__all__ = ["own", "own_redis"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("at_once", [200, 2])
def test_old_history_is_replaced_by_what_it_comes_to(
    own: OwnRedis, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr("coordination.locks.pruning.EVENTS_MAX", at_once)
    use("free", 3)
    keeper = held(lock("kept", owner="keeper", renew=False).acquire())
    for _ in range(5):
        keeper.renew()
    lock_store("redis").acquire(asked("kept"), stay_ms=60_000)
    observe()
    audit()
    run_sql("UPDATE concord_event SET at = at - interval '8 days'")
    rebuild(Journal("default"), [LockProjection()])
    before = record("kept")
    drain_once(Pruner("default"))

    assert not LockRecord.objects.filter(name="free").exists()
    assert kinds("free") == []
    assert kinds("kept") == ["resynced"]
    assert LockGrant.objects.get().owner == "keeper"

    rebuild(Journal("default"), [LockProjection()])
    after = record("kept")
    assert (after.holders, after.waiters) == (before.holders, before.waiters)
    assert (after.version, after.changed_at) == (before.version, before.changed_at)
    assert not after.gap

    use("free")
    keeper.release()
    observe()
    assert (record("kept").gap, record("free").gap) == (False, False)
    assert kinds("kept")[:2] == ["resynced", "released"]


def drain_once(pruner: Pruner) -> None:
    """One round through all resources."""
    while pruner.step():
        pass


def test_nothing_that_is_young_or_not_judged_is_pruned(own: OwnRedis) -> None:
    use("a", 3)
    observe()
    run_sql("UPDATE concord_event SET at = at - interval '8 days' WHERE version < 3")
    drain_once(Pruner("default"))
    assert len(kinds("a")) == 6


def test_grants_beyond_the_last_thousand_are_forgotten(
    own: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coordination.locks.pruning.GRANTS_KEPT", 3)
    use("a", 5)
    keeper = held(lock("a", renew=False).acquire())
    observe()
    drain_once(Pruner("default"))

    kept = list(LockGrant.objects.order_by("token").values_list("token", flat=True))
    assert len(kept) == 3
    assert kept[-1] == keeper.token
