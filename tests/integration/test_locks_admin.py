"""Locks in Django's admin: to be read, and acted on only through their store, with a reason."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from coordination import lock
from coordination.locks.records import LockRecord
from tests.integration import frozen_redis
from tests.integration.dashboard_locks import grant, held, lock_operator, now, queued, record, save
from tests.integration.dashboard_web import make_user

freeze_redis = frozen_redis.freeze_redis

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"])
LIST = "admin:coordination_lockrecord_changelist"
REASON = "the worker died and will not come back"


@pytest.fixture
def taken() -> LockRecord:
    """A real lock as its record tells of it."""
    name = f"admin:{now().timestamp()}"
    found = lock(name, ttl=30, renew=False, using="redis").acquire(wait=0)
    assert found is not None
    made = record(name, holders=[held(found.owner, found.token)], waiters=[queued("next-one")])
    save(made)
    return made


def client(user: Any = None) -> Client:
    signed_in = Client()
    signed_in.force_login(user or lock_operator())
    return signed_in


def act(by: Client, action: str, row: LockRecord, **fields: str) -> str:
    data = {"action": action, "_selected_action": row.key, **fields}
    return by.post(reverse(LIST), data, follow=True).content.decode()


def shown(row: LockRecord) -> dict[str, str]:
    return {f"shown_tokens:{row.key}": str(row.token), "confirmed": "yes", "reason": REASON}


def token_of(row: LockRecord) -> int | None:
    return lock(row.name, using="redis").info().token


def test_locks_and_grants_are_shown_and_offer_no_editing(taken: LockRecord) -> None:
    grant(taken, 7, "former", ago_s=90)
    looker = client(make_user("lo", "view_lockrecord", "view_lockgrant", is_staff=True))
    every = looker.get(reverse(LIST)).content.decode()
    one = looker.get(reverse("admin:coordination_lockrecord_change", args=[taken.key]))
    add = looker.get(reverse("admin:coordination_lockrecord_add"))
    grants = looker.get(reverse("admin:coordination_lockgrant_changelist")).content.decode()
    assert "1, next next-one" in every
    assert str(taken.token) in every
    assert one.status_code == 200
    assert b'name="_save"' not in one.content
    assert add.status_code == 403
    assert "former" in grants


@pytest.mark.parametrize("standing", ["held", "waited for", "free", "disputed"])
def test_rows_are_filtered_by_where_they_stand(taken: LockRecord, standing: str) -> None:
    page = client().get(reverse(LIST), {"standing": standing}).content.decode()
    assert (taken.name in page) == (standing in {"held", "waited for"})


@pytest.mark.parametrize("action", ["force_release", "request_revoke"])
def test_actions_need_their_permission(taken: LockRecord, action: str) -> None:
    looker = client(make_user("lo", "view_lockrecord", is_staff=True))
    act(looker, action, taken, **shown(taken))
    (holder,) = lock(taken.name, using="redis").info().holders
    assert (holder.token, holder.revoked_at) == (taken.token, None)


def test_an_action_shows_what_it_falls_on_and_asks_for_a_reason(taken: LockRecord) -> None:
    by = client()
    asked = act(by, "force_release", taken)
    short = act(by, "force_release", taken, **shown(taken) | {"reason": "because"})
    assert f'name="shown_tokens:{taken.key}" value="{taken.token}"' in asked
    assert "at least 10 characters" in short
    assert token_of(taken) == taken.token


def test_force_release_falls_on_the_holder_who_was_shown(taken: LockRecord) -> None:
    said = act(client(), "force_release", taken, **shown(taken))
    assert f"taken away from token {taken.token}" in said
    assert token_of(taken) is None


def test_a_holder_who_came_meanwhile_keeps_it(taken: LockRecord) -> None:
    lock.force_release(taken.name, using="redis", actor="somebody", reason="between")
    next_one = lock(taken.name, ttl=30, renew=False, using="redis").acquire(wait=0)
    assert next_one is not None
    said = act(client(), "force_release", taken, **shown(taken))
    assert "It has changed meanwhile" in said
    assert token_of(taken) == next_one.token


def test_asking_leaves_it_with_its_holder(taken: LockRecord) -> None:
    said = act(client(), "request_revoke", taken, **shown(taken))
    (holder,) = lock(taken.name, using="redis").info().holders
    assert "1 asked." in said
    assert holder.revoked_at is not None


def test_a_store_that_does_not_answer_is_told(taken: LockRecord, freeze_redis: Any) -> None:
    by = client()
    freeze_redis()
    said = act(by, "force_release", taken, **shown(taken))
    assert "Nothing was done" in said
