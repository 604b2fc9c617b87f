"""What waits is explained alike, wherever it is decided, and tried again by people."""

from typing import Any

import pytest

from coordination import distributed_transaction
from coordination.transactions import operations, situations
from coordination.transactions.tables import Transaction
from tests.consensus_stores import Quorum
from tests.contract.registers.test_outcomes import EXPIRED, by_workers
from tests.databases import ALIASES
from tests.integration import ledger

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


LONG_PAST = "UPDATE concord_transaction SET deadline_at = now() - interval '1 hour'"


def test_what_prepared_branches_hold_up_is_told(place: dict[str, Any]) -> None:
    gid = by_workers(place)
    ledger.execute("default", LONG_PAST)
    (held,) = situations.explained(gid).radius

    assert held.using == "bank_a"
    assert gid in str(held)


def test_retrying_goes_on_where_a_register_does_not_answer(
    redis_quorum: str, servers_of_quorum: Quorum
) -> None:
    first = by_workers({"protocol": "paxos"})
    second = distributed_transaction("moved", wait=False, deadline=60)
    second.enlist("bank.b.deposit", account=1, cents=2)
    second.submit()
    ledger.execute("default", EXPIRED)
    for alias in ("one", "two"):
        servers_of_quorum.servers[alias].kill()

    gids = [first, second.gid]
    assert operations.retry_now(gids, actor="ada", reason="the servers are back") == 2
    assert Transaction.objects.get(gid=first).outcome is None
