"""Adjusting and resetting counters from the dashboard and the admin, on real stores."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from coordination import counter
from dashboard.addresses import counter_address
from tests.integration import frozen_redis
from tests.integration.dashboard_counters import STORE, count, counter_operator, record
from tests.integration.dashboard_web import make_user, signed_in

freeze_redis = frozen_redis.freeze_redis

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"])

REASON = "the stock was counted by hand, ticket 3390"


def adjusted(client: Client, name: str, store: str = STORE, **fields: str) -> Any:
    form = {"amount": "-2", "reason": REASON, "op_id": "page-1-a"} | fields
    return client.post(counter_address(store, name, route="counter-adjust"), form, follow=True)


def reset(client: Client, name: str, shown: int, **fields: str) -> Any:
    form = {"value": str(shown), "confirm": str(shown)[-6:], "reason": REASON, "op_id": "page-1-r"}
    address = counter_address(STORE, name, route="counter-reset")
    return client.post(address, form | fields, follow=True)


def now(name: str, **options: Any) -> int:
    return counter(name, using=STORE, **options).get()


def test_no_action_without_post_permission_or_csrf() -> None:
    count("a", 5)
    someone = signed_in(make_user("vera", "view_transactionrecord", "resolve_transaction"))
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(counter_operator())
    for route in ("counter-adjust", "counter-reset"):
        address = counter_address(STORE, "a", route=route)
        form = {"amount": "1", "value": "5", "confirm": "5", "reason": REASON, "op_id": "x"}
        assert Client().post(address, form).status_code == HTTPStatus.FOUND
        assert someone.get(address).status_code == HTTPStatus.METHOD_NOT_ALLOWED
        assert someone.post(address, form).status_code == HTTPStatus.FORBIDDEN
        assert strict.post(address, form).status_code == HTTPStatus.FORBIDDEN
    assert now("a") == 5


def test_adjusting_needs_one_right_and_resetting_another() -> None:
    count("a", 5)
    adjuster = signed_in(make_user("ada", "view_transactionrecord", "change_counterrecord"))
    page = adjuster.get(counter_address(STORE, "a")).content.decode()
    assert 'id="adjust-submit"' in page
    assert 'id="reset-submit"' not in page
    assert reset(adjuster, "a", 5).status_code == HTTPStatus.FORBIDDEN
    assert "Adjusted by -2. It is 3 now." in adjusted(adjuster, "a").content.decode()


def test_an_adjustment_sent_twice_counts_once_and_is_kept_with_its_reason() -> None:
    count("a", 5)
    client = signed_in(counter_operator())
    adjusted(client, "a")
    again = adjusted(client, "a").content.decode()

    assert "It is 3 now." in again
    assert now("a") == 3
    (change, *_) = counter("a", using=STORE).history(5)
    assert (change.amount, change.actor, change.reason) == (-2, "cora", REASON)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"amount": ""}, "must be a whole number"),
        ({"amount": "1.5"}, "must be a whole number"),
        ({"amount": "9" * 20}, "must be a whole number"),
        ({"amount": "0"}, "changes nothing"),
        ({"reason": "short"}, "10 to 500 characters"),
        ({"amount": "-6"}, "would not leave it"),
        ({"op_id": "has space"}, "Nothing was done."),
    ],
)
def test_an_adjustment_that_lacks_something_changes_nothing(
    change: dict[str, str], said: str
) -> None:
    count("a", 5, minimum=0)
    assert said in adjusted(signed_in(counter_operator()), "a", **change).content.decode()
    assert now("a") == 5


def test_a_reset_writes_the_initial_value() -> None:
    count("a", -3, initial=10)
    client = signed_in(counter_operator())
    assert "Reset from 7. It is 10 now." in reset(client, "a", 7).content.decode()
    assert now("a", initial=10) == 10
    assert counter("a", using=STORE).history(1)[0].kind == "counter.reset"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"confirm": "8"}, "to confirm"),
        ({"reason": "short"}, "10 to 500 characters"),
        ({"value": "8", "confirm": "8"}, "It has changed meanwhile"),
        ({"value": ""}, "Open it again"),
    ],
)
def test_a_reset_that_lacks_something_changes_nothing(change: dict[str, str], said: str) -> None:
    count("a", 7)
    assert said in reset(signed_in(counter_operator()), "a", 7, **change).content.decode()
    assert now("a") == 7


def test_what_was_counted_since_the_page_was_opened_is_not_reset_away() -> None:
    count("a", 7)
    counter("a", using=STORE).add(1)
    assert (
        "It has changed meanwhile" in reset(signed_in(counter_operator()), "a", 7).content.decode()
    )
    assert now("a") == 8


def test_a_store_that_does_not_answer_says_what_is_known(freeze_redis: Any) -> None:
    record("a", 7, store="redis")
    freeze_redis()
    page = adjusted(signed_in(counter_operator()), "a", store="redis").content.decode()
    assert "It may have happened or not" in page or "Nothing was done." in page


def the_admin(client: Client, action: str, **fields: str) -> Any:
    return client.post(
        reverse("admin:coordination_counterrecord_changelist"),
        {"action": action, "_selected_action": f"{STORE} a"} | fields,
        follow=True,
    )


def carried(page: str) -> dict[str, str]:
    (found,) = re.findall(r'name="(shown:[^"]+)" value="([^"]+)"', page)
    return {found[0]: found[1]}


def test_the_admin_adjusts_and_resets_with_a_reason() -> None:
    count("a", 5, initial=1)
    client = signed_in(counter_operator())
    asked = the_admin(client, "adjust").content.decode()
    assert 'name="amount"' in asked
    done = {"confirmed": "yes", "amount": "4", "reason": REASON} | carried(asked)
    for _ in range(2):
        assert (
            "adjusted by +4; it is 10 now." in the_admin(client, "adjust", **done).content.decode()
        )

    asked = the_admin(client, "reset").content.decode()
    late = {"confirmed": "yes", "reason": REASON} | carried(asked)
    # The records are late: they still show what was before.
    assert "It has changed meanwhile" in the_admin(client, "reset", **late).content.decode()
    assert now("a") == 10
    count("a", 0, initial=1)
    asked = the_admin(client, "reset").content.decode()
    done = {"confirmed": "yes", "reason": REASON} | carried(asked)
    assert "reset from 10; it is 1 now." in the_admin(client, "reset", **done).content.decode()


def test_the_admin_refuses_who_may_only_look_and_what_is_no_amount() -> None:
    count("a", 5)
    looker = make_user("vera", "view_counterrecord", is_staff=True)
    page = the_admin(signed_in(looker), "adjust", confirmed="yes", reason=REASON, amount="1")
    assert now("a") == 5
    assert "adjusted" not in page.content.decode()

    client = signed_in(counter_operator())
    fields = {"confirmed": "yes", "amount": "many", "reason": REASON}
    fields |= carried(the_admin(client, "adjust").content.decode())
    assert "must be a whole number" in the_admin(client, "adjust", **fields).content.decode()
    assert (
        "at least 10 characters"
        in the_admin(client, "adjust", **fields | {"reason": "short"}).content.decode()
    )
    assert now("a") == 5
