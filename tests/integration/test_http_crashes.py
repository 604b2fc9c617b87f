"""A caller that is killed while it has a branch in a service: others finish its transaction."""

import os
import signal
from collections.abc import Iterator

import pytest
from django.db import connections

from coordination import distributed_transaction
from coordination.transactions import finishing, runner
from coordination.transactions.branches import http as branch
from coordination.transactions.tables import Transaction
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import broker, ledger
from tests.integration.forked_child import fork
from tests.integration.http_service import Service, routed_service, started_service, state, sweep

__all__ = ["routed_service", "started_service"]

pytestmark = pytest.mark.django_db(transaction=True, databases=ALIASES)


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    broker.clear()
    with ledger.ledgers():
        yield


def move(cents: int = 10, *, deadline: float = 10, local: int | None = None) -> str:
    """Take cents from the service's account and put them into a database of ours."""
    tx = distributed_transaction("move", deadline=deadline, wait=False)
    tx.enlist("far.add", account="a", cents=-cents)
    tx.enlist("test.a.add", cents=cents if local is None else local)
    return tx.submit()


def total(service: Service) -> int:
    return sum(service.cents()) + ledger.amount("bank_a")


@pytest.mark.parametrize(
    ("at", "states"),
    [
        ("branch.prepare.before", []),
        ("branch.prepare.after", ["prepared"]),
        ("branch.vote.before", ["prepared"]),
        ("branch.vote.after", ["prepared"]),
        ("branch.finish.before", ["prepared"]),
        (
            "branch.finish.after",
            ["prepared"],
        ),  # of the branch in our own database, which ends first
        ("branch.ack.before", ["committed"]),
        ("branch.ack.after", ["committed"]),
    ],
)
def test_a_caller_killed_after_the_yes_is_finished_by_others(
    service: Service, at: str, states: list[str]
) -> None:
    child = fork(lambda: killed(at))
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    (gid,) = Transaction.objects.values_list("gid", flat=True)
    assert service.states() == states

    sweep()
    assert (state(gid), service.cents(), total(service)) == (("committed", True), (90, 0), 200)


def killed(at: str) -> bool:
    forget_connections()

    def hit(name: str) -> None:
        if name == at:
            os.kill(os.getpid(), signal.SIGKILL)

    for module in (branch, runner, finishing):
        module.hit = hit  # type: ignore[attr-defined]
    move()
    return False


def forget_connections() -> None:
    """The parent's connections are not to be used, nor closed, by its child."""
    for connection in connections.all():
        connection.connection = None
