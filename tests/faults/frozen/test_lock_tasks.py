"""Celery tasks of locks while the store does not answer: an answer in time, never a hang."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections

from coordination.locks import tasks
from tests.databases import ALIASES, _django_db_helper
from tests.faults.frozen.conftest import DEADLINE_S, Freeze

__all__ = ["_django_db_helper"]

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

CALLS: dict[str, Callable[[], dict[str, Any]]] = {
    "acquire": lambda: tasks.acquire("a", op_id="1"),
    "release": lambda: tasks.release("a", grant="grant"),
    "renew": lambda: tasks.renew("a", grant="grant"),
    "info": lambda: tasks.info("a"),
    "force_release": lambda: tasks.force_release("a", reason="stuck", actor="operator"),
    "acquire then": lambda: tasks.acquire("a", op_id="1", then={"task": "test.a"}),
    "run_locked": lambda: tasks.run_locked("a", {"task": "test.a"}, op_id="1"),
}
QUEUED = ("acquire then", "run_locked")
"""They are rows of the coordinator's database: a keeper asks a store that does not answer now."""


@pytest.mark.parametrize("verb", CALLS)
def test_a_frozen_store_is_an_answer_within_the_deadline(
    technology: str, freeze: Freeze, verb: str
) -> None:
    # Connecting anew takes as long as Django's own options allow.
    connections["default"].ensure_connection()
    with freeze():
        begun = time.monotonic()
        told = CALLS[verb]()
        took = time.monotonic() - begun

    assert took < DEADLINE_S + 0.5
    if verb in QUEUED and technology != "postgresql":
        assert (told["ok"], told["state"]) == (True, "waiting")
    else:
        assert told["ok"] is False
        assert told["code"] in ("store_unavailable", "outcome_unknown")
        assert told["applied"] is (False if told["code"] == "store_unavailable" else None)
