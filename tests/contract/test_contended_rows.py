"""Votes and aborts that meet on thousands of transactions: one outcome each, told alike to all."""

import json
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest

from coordination.connections import database
from coordination.connections.database import Statement
from coordination.observing.tables import Event
from coordination.transactions.stores.database import BEGIN, DECIDE, VOTE
from coordination.transactions.tables import Transaction
from coordination.transactions.types import ROW, Form
from tests.contract import rows
from tests.contract.threads import at_once
from tests.databases import ALIASES, _django_db_helper  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)

TRANSACTIONS, BRANCHES, NO_SHARE, REPEAT_SHARE = 4_000, 2, 0.05, 0.2
PER_COMMIT = 20
GAPS = """
SELECT name FROM concord_event GROUP BY name
HAVING max(version) <> count(*) OR count(*) FILTER (WHERE kind = 'transaction.decided') <> 1"""
COMMITTED_AGAINST_A_NO = """
SELECT gid FROM concord_transaction t WHERE outcome = 'committed'
AND EXISTS (SELECT FROM concord_branch b WHERE b.transaction_id = t.gid AND vote <> 'yes')"""

Told = tuple[str, str | None, bool]
"""A gid, the outcome somebody was told, and whether that somebody made it."""


def groups(statements: Sequence[tuple[str, Statement]]) -> Iterator[list[tuple[str, Statement]]]:
    """What is done in one database transaction: in gid order, as the functions ask for."""
    for start in range(0, len(statements), PER_COMMIT):
        yield sorted(statements[start : start + PER_COMMIT], key=lambda each: each[0])


def perform(statements: Sequence[tuple[str, Statement]]) -> list[Told]:
    told: list[Told] = []
    for group in groups(statements):
        replies = database.run("default", *(statement for _, statement in group))
        for (gid, _), reply in zip(group, replies, strict=True):
            outcome, _, decided_now, *_ = reply.rows[0]
            told.append((gid, outcome, decided_now))
    return told


def begin(gids: Sequence[str]) -> None:
    branches = [
        {
            "seq": seq,
            "participant": "test.rows",
            "node": "rows",
            "using": "bank_a",
            "mode": "xa",
            "form": Form.PREPARE,
            "args": {},
        }
        for seq in range(1, BRANCHES + 1)
    ]
    head = (
        "rows",
        "2pc",
        "rows",
        None,
        "d",
        60_000,
        60_000,
        "",
        None,
        json.dumps(branches),
        rows.BY,
        ROW,
        None,
    )
    for start in range(0, len(gids), 500):
        database.run(
            "default", *(Statement(BEGIN, (gid, *head)) for gid in gids[start : start + 500])
        )


def votes(gids: Sequence[str], chance: random.Random) -> list[tuple[str, Statement]]:
    """Every branch's vote, a few of them no, a part of them sent twice, in any order."""
    cast = []
    for gid in gids:
        for seq in range(1, BRANCHES + 1):
            vote = "no" if chance.random() < NO_SHARE else "yes"
            ballot = json.dumps([{"seq": seq, "vote": vote, "reason": "", "after_commit": False}])
            statement = Statement(VOTE, (gid, ballot, False, 60_000, rows.BY))
            cast += [(gid, statement)] * (2 if chance.random() < REPEAT_SHARE else 1)
    chance.shuffle(cast)
    return cast


def aborts(gids: Sequence[str], chance: random.Random) -> list[tuple[str, Statement]]:
    some = chance.sample(gids, len(gids) // 4)
    return [
        (gid, Statement(DECIDE, (gid, "aborted", "gave up", False, 60_000, rows.BY, False)))
        for gid in some
    ]


def test_four_voters_and_two_aborters_agree_on_every_one_of_4000_transactions() -> None:
    chance = random.Random(20)
    gids = [rows.new_gid() for _ in range(TRANSACTIONS)]
    begin(gids)
    cast = votes(gids, chance)
    calls: list[Callable[[], list[Told]]] = [partial(perform, cast[n::4]) for n in range(4)]
    calls += [partial(perform, aborts(gids, chance)) for _ in range(2)]

    told = [each for answers in at_once(*calls) for each in answers]

    outcomes = dict(Transaction.objects.values_list("gid", "outcome"))
    assert set(outcomes.values()) == {"committed", "aborted"}
    assert [each for each in told if each[1] not in (None, outcomes[each[0]])] == []
    assert sorted(gid for gid, _, decided_now in told if decided_now) == gids
    assert database.run("default", Statement(GAPS))[0].rows == []
    assert database.run("default", Statement(COMMITTED_AGAINST_A_NO))[0].rows == []
    assert Event.objects.filter(kind="branch.voted").count() == TRANSACTIONS * BRANCHES
