"""Asking for locks back and taking them away from the dashboard, on the tests' real Redis."""

from collections.abc import Callable
from http import HTTPStatus

import pytest
from django.test import Client

from coordination import lock, semaphore
from dashboard.addresses import lock_address
from tests.integration import frozen_redis
from tests.integration.dashboard_locks import held, lock_operator, now, record, save
from tests.integration.dashboard_web import make_user, signed_in

freeze_redis = frozen_redis.freeze_redis

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"])

REASON = "the worker is gone, ticket 3390"


def form(token: int, **fields: str) -> dict[str, str]:
    return {"tokens": str(token), "reason": REASON, "confirm": str(token)[-6:]} | fields


def taken(name: str) -> int:
    """A real lock, held in the tests' Redis and known to the pages."""
    found = lock(name, ttl=30, renew=False, using="redis").acquire(wait=0)
    assert found is not None
    save(record(name, holders=[held(found.owner, found.token)]))
    return found.token


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    return f"page:{now().timestamp()}:{request.node.name[:40]}"


def now_held(name: str) -> int | None:
    return lock(name, using="redis").info().token


def test_no_action_without_post_permission_or_csrf(name: str) -> None:
    token = taken(name)
    someone = signed_in(make_user("vera", "view_transactionrecord", "resolve_transaction"))
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(lock_operator())
    for route in ("lock-ask", "lock-force"):
        address = lock_address("redis", "lock", name, route=route)
        assert Client().post(address).status_code == HTTPStatus.FOUND
        assert someone.get(address).status_code == HTTPStatus.METHOD_NOT_ALLOWED
        assert someone.post(address, form(token)).status_code == HTTPStatus.FORBIDDEN
        assert strict.post(address, form(token)).status_code == HTTPStatus.FORBIDDEN
    assert now_held(name) == token


def test_asking_needs_one_right_and_taking_away_another(name: str) -> None:
    token = taken(name)
    asker = signed_in(make_user("asker", "view_transactionrecord", "change_lockrecord"))
    page = asker.get(lock_address("redis", "lock", name)).content.decode()
    forced = asker.post(lock_address("redis", "lock", name, route="lock-force"), form(token))
    assert 'id="ask-submit"' in page
    assert 'id="force-submit"' not in page
    assert "You need the permission coordination.delete_lockrecord" in page
    assert forced.status_code == HTTPStatus.FORBIDDEN
    assert now_held(name) == token


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"confirm": "000000"}, "to confirm"),
        ({"reason": "short"}, "10 to 500 characters"),
        ({"tokens": "1", "confirm": "1"}, "It has changed meanwhile"),
        ({"tokens": "", "confirm": "0"}, "It has changed meanwhile"),
    ],
)
def test_a_force_release_that_lacks_something_takes_nothing_away(
    name: str, change: dict[str, str], said: str
) -> None:
    token = taken(name)
    address = lock_address("redis", "lock", name, route="lock-force")
    answer = signed_in(lock_operator()).post(address, form(token) | change, follow=True)
    assert said in answer.content.decode()
    assert now_held(name) == token


def test_a_force_release_takes_it_away_once_and_falls_on_nobody_else(name: str) -> None:
    token = taken(name)
    client = signed_in(lock_operator())
    address = lock_address("redis", "lock", name, route="lock-force")
    answer = client.post(address, form(token), follow=True)
    next_one = lock(name, ttl=30, renew=False, using="redis").acquire(wait=0)
    assert next_one is not None
    again = client.post(address, form(token), follow=True)

    assert f"Taken away from token {token}" in answer.content.decode()
    assert next_one.token > token
    assert "It has changed meanwhile" in again.content.decode()
    assert next_one.owner in again.content.decode()
    assert now_held(name) == next_one.token


def test_asking_marks_the_lease_and_leaves_the_lock_with_its_holder(name: str) -> None:
    token = taken(name)
    address = lock_address("redis", "lock", name, route="lock-ask")
    answer = signed_in(lock_operator()).post(address, form(token), follow=True)
    (holder,) = lock(name, using="redis").info().holders
    assert "Its holder was asked" in answer.content.decode()
    assert holder.token == token
    assert holder.revoked_at is not None


def test_a_semaphore_is_taken_away_from_all_who_were_shown(name: str) -> None:
    grants = [
        semaphore(name, permits=2, ttl=30, renew=False, using="redis").acquire(wait=0)
        for _ in range(2)
    ]
    tokens = [each.token for each in grants if each is not None]
    save(record(name, kind="semaphore", holders=[held("a", token) for token in tokens]))
    address = lock_address("redis", "semaphore", name, route="lock-force")
    fields = {
        "tokens": ",".join(map(str, tokens)),
        "reason": REASON,
        "confirm": str(max(tokens))[-6:],
    }
    one_missing = signed_in(lock_operator()).post(
        address, fields | {"tokens": str(max(tokens))}, follow=True
    )
    done = signed_in(lock_operator("lena")).post(address, fields, follow=True)
    assert "It has changed meanwhile" in one_missing.content.decode()
    assert "Taken away from token" in done.content.decode()
    assert semaphore(name, permits=2, using="redis").info().holders == ()


@pytest.mark.parametrize("route", ["lock-ask", "lock-force"])
def test_a_store_that_does_not_answer_is_told_and_nothing_is_claimed(
    name: str, route: str, freeze_redis: Callable[[], None]
) -> None:
    token = taken(name)
    client = signed_in(lock_operator())
    freeze_redis()
    answer = client.post(lock_address("redis", "lock", name, route=route), form(token), follow=True)
    text = answer.content.decode()
    assert 'data-s="bad" role="status"' in text
    assert "Nothing was done" in text
    assert "Taken away from token" not in text


def test_a_store_that_this_project_does_not_have_is_told() -> None:
    save(record("a", store="elsewhere", holders=[held("x", 7)]))
    address = lock_address("elsewhere", "lock", "a", route="lock-force")
    text = signed_in(lock_operator()).post(address, form(7), follow=True).content.decode()
    assert "elsewhere" in text
    assert "Nothing was done." in text
