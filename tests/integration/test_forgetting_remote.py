"""Branches of another project, once either side has forgotten them and a message comes again."""

from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import override_settings

from coordination.transactions import peers, retention, tasks
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import ledger
from tests.integration.aging import age, forget, judge, left
from tests.integration.test_remote_node import (
    amounts,
    begin,
    far_tables,
    ours,
    taken,
    their_project,
    work_off,
)

__all__ = ["far_tables", "ours"]

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


def copies() -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """A committed transaction; copies of what was sent: prepare, vote, finish."""
    begin()
    (prepare,) = taken("far.prepare")
    with their_project():
        tasks.prepare_branches(**prepare)
    (vote,) = taken("bank.decide")
    tasks.vote(**vote)
    (finish,) = taken("far.finish")
    with their_project():
        tasks.finish_branches(**finish)
    work_off()
    assert amounts() == (90, 110)
    return prepare, vote, finish


def test_a_vote_for_what_is_forgotten_does_nothing(ours: None) -> None:
    _, vote, _ = copies()
    judge()
    age(aliases=["default", "bank_a"])
    forget()

    told = tasks.vote(**vote)

    assert (told["ok"], told["applied"]) == (False, False)
    assert "never begun, or forgotten" in told["message"]
    assert amounts() == (90, 110)


def test_the_other_project_forgets_by_its_own_clock_and_takes_no_copy_afterwards(
    ours: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare, _, finish = copies()
    with their_project():
        for _ in range(2):
            assert left("bank_b") == 1
            age(aliases=["bank_b"])
            retention.run_once()
        assert left("bank_b") == 0

    now_ms = peers._now_ms
    monkeypatch.setattr(peers, "_now_ms", lambda: now_ms() + 7 * 86_400_000)
    with their_project():
        assert tasks.prepare_branches(**prepare) == "refused"
        assert tasks.finish_branches(**finish) == "refused"
    assert (amounts(), left("bank_b"), ledger.prepared("bank_b")) == ((90, 110), 0, [])


def test_what_is_prepared_for_another_project_is_never_forgotten(ours: None) -> None:
    begin()
    with their_project():
        tasks.prepare_branches(**taken("far.prepare")[0])
        age(aliases=["bank_b"])
        retention.run_once()
        retention.run_once()
    assert len(ledger.prepared("bank_b")) == 1
    work_off()

    assert (amounts(), left("bank_b")) == ((90, 110), 1)


def test_a_peer_is_told_by_name_and_its_rows_are_not_looked_for_here(ours: None) -> None:
    """A witness of a peer whose rows cannot be here is no witness of a forgotten transaction."""
    copies()
    with their_project():
        age(aliases=["bank_b"])
        retention.run_once()
        assert left("bank_b") == 1
        everyone = django_settings.COORDINATION | {"PEERS": {}}
        with override_settings(COORDINATION=everyone):
            retention.run_once()
        assert left("bank_b") == 1
