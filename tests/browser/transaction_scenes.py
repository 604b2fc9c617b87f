"""Lively moments of transactions, for pictures and for whoever looks at every page."""

from datetime import UTC, datetime, timedelta

from coordination.observing.records import Verdict, Violation
from examples.bank import seeding
from tests.integration.dashboard_stories import (
    Story,
    applying,
    heuristic,
    in_doubt,
    many,
    observe,
)

HISTORY = 300


def lively() -> dict[str, Story]:
    """Five minutes: most went well; one is in doubt, one failing, one went astray."""
    shown = {
        "doubt": in_doubt(),
        "applying": applying(),
        "astray": heuristic(),
    }
    shown["doubt"].resolved("retry", actor="m.keller", reason="database bank_b is back, OPS-3381")
    voting = [Story(name="bank.balance", ago_s=0.3), Story(name="bank.amalgamate", ago_s=0.2)]
    observe(*many(HISTORY, ago_s=296), *shown.values(), *voting)
    seeding.seed(200)
    verdict(state="HOLDS", checked=9_604)
    return shown


def broken(astray: Story) -> None:
    """The same, with the promise found broken."""
    Violation.objects.create(
        verdict="atomicity",
        gid=astray.gid,
        branch_seq=2,
        kind="heuristic",
        sentence="bank.b.deposit on bank_b ended as heuristic_rollback, outcome committed",
        evidence={
            "database": "bank_b",
            "participant": "bank.b.deposit",
            "outcome": "committed",
            "vote": "yes",
            "actual": "heuristic_rollback",
            "witness": None,
            "prepared": False,
        },
    )
    verdict(state="VIOLATED", checked=9_605, violations=1)


def verdict(**fields: object) -> None:
    """The auditor's word, fresh enough for the whole test."""
    now = datetime.now(UTC)
    databases = {
        name: {"seen": True, "reason": "", "prepared": prepared}
        for name, prepared in (("bank_a", 1), ("bank_b", 0))
    }
    Verdict.objects.update_or_create(
        name="atomicity",
        defaults={
            "checked_at": now,
            "window_start": now - timedelta(hours=3),
            "period_s": 60.0,
            "evidence": {"databases": databases, "unaudited": 2, "unseen_branches": 0},
            **fields,
        },
    )
