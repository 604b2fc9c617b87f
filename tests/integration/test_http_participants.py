"""Branches that a service does when it is called by HTTP, over crashes of either side."""

import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest
from django.conf import settings as django_settings
from django.test import Client, override_settings
from django.urls import reverse

from coordination import distributed_transaction
from coordination.connections import http
from coordination.connections.database import StatementRefused
from coordination.exceptions import (
    CoordinationError,
    OutcomeUnknown,
    TransactionAborted,
    UnknownParticipant,
)
from coordination.observing.tables import Event
from coordination.transactions import runner
from coordination.transactions.auditor import Auditor
from coordination.transactions.branches.http import finish, prepare
from coordination.transactions.records import TransactionRecord
from coordination.transactions.tables import Branch, Transaction
from coordination.transactions.types import Actual, Form, Mode, Outcome, Vote, Work
from tests.databases import ALIASES, _django_db_helper  # noqa: F401
from tests.integration import broker, ledger
from tests.integration.dashboard_stories import observe
from tests.integration.dashboard_web import viewer
from tests.integration.http_service import (
    Service,
    called,
    expire,
    routed_service,
    started_service,
    state,
    sweep,
)
from tests.integration.losing_proxy import LosingProxy

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


def work(gid: str, *, remaining_ms: int = 5_000) -> Work:
    return Work(
        gid=gid,
        seq=1,
        participant="far.add",
        using="",
        mode=Mode.HTTP,
        form=Form.PREPARE,
        args={"account": "a", "cents": -10},
        remaining_ms=remaining_ms,
    )


GID = "bank-00000001-0000000000000001"


def test_a_service_commits_with_a_database_of_ours(service: Service) -> None:
    gid = move()

    assert (state(gid), service.cents(), ledger.amount("bank_a")) == (
        ("committed", True),
        (90, 0),
        110,
    )
    branch = Branch.objects.get(transaction=gid, seq=1)
    assert (branch.mode, branch.using, branch.vote, branch.actual) == (
        "http",
        "",
        "yes",
        "committed",
    )


def test_alone_it_is_a_transaction_as_well(service: Service) -> None:
    with distributed_transaction("alone") as tx:
        tx.enlist("far.add", account="a", cents=5)

    assert (state(tx.gid), service.cents()) == (("committed", True), (105, 0))


def test_a_no_of_the_service_undoes_ours_and_gives_its_reason(service: Service) -> None:
    with pytest.raises(TransactionAborted, match="a has too little"):
        with distributed_transaction("move") as tx:
            tx.enlist("test.a.add", cents=500)
            tx.enlist("far.add", account="a", cents=-500)

    assert (state(tx.gid), total(service)) == (("aborted", True), 200)
    assert service.states() == ["cancelled"]


def test_a_no_of_ours_cancels_what_the_service_prepared(service: Service) -> None:
    gid = move(10, local=-500)

    assert (state(gid), service.cents(), ledger.amount("bank_a")) == (
        ("aborted", True),
        (100, 0),
        100,
    )


def test_routed_to_a_node_it_is_called_by_a_worker(service: Service) -> None:
    node = django_settings.COORDINATION["NODE"]
    routed = django_settings.COORDINATION | {"PARTICIPANTS": [("far.*", node)]}
    with override_settings(COORDINATION=routed):
        gid = move()
        assert service.states() == []
        sweep()

    assert (state(gid), total(service), service.cents()) == (("committed", True), 200, (90, 0))


def test_a_service_is_not_asked_before_the_rows_are_durable(service: Service) -> None:
    ledger.execute("default", "ALTER TABLE concord_branch RENAME TO concord_branch_away")
    try:
        with pytest.raises((CoordinationError, StatementRefused)):
            move()
    finally:
        ledger.execute("default", "ALTER TABLE concord_branch_away RENAME TO concord_branch")

    assert service.states() == []


def test_the_auditor_counts_it_as_unseen_and_finds_nothing(service: Service) -> None:
    gid, refused = move(), move(500)
    node = django_settings.COORDINATION["NODE"]
    Auditor("default", node=node).step()

    rows = Transaction.objects.filter(gid__in=[gid, refused], audited_at__isnull=False)
    assert rows.count() == 2
    assert ledger.execute("default", "SELECT count(*) FROM concord_violation") == [(0,)]


def test_the_dashboard_shows_that_its_work_is_in_a_service_and_why_it_waits(
    service: Service,
) -> None:
    gid = move()
    service.kill()
    waiting = move()
    observe()
    client = Client()
    client.force_login(viewer())
    pages = [client.get(reverse("dashboard:transaction", args=[each])) for each in (gid, waiting)]
    service.start()

    assert all("a service" in page.content.decode() for page in pages)
    row = TransactionRecord.objects.get(gid=waiting)
    assert "Connection refused" in row.branches[0]["error"]


# The service dies, freezes, or its answer is lost


def test_a_service_that_is_down_aborts_by_the_deadline_and_is_told_when_it_is_back(
    service: Service,
) -> None:
    service.kill()
    gid = move(deadline=5)
    assert state(gid) == (None, False)
    expire(gid)
    sweep()
    assert state(gid) == ("aborted", False)
    told = Branch.objects.get(transaction=gid, seq=1)
    assert "Connection refused" in told.last_error

    service.start()
    sweep()
    assert (state(gid), service.states(), total(service)) == (
        ("aborted", True),
        ["cancelled"],
        200,
    )


def test_a_service_killed_before_its_commit_commits_when_it_is_back(
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kill_after_prepare(service, monkeypatch)
    gid = move()
    assert state(gid) == ("committed", False)
    sweep()
    assert state(gid) == ("committed", False)

    service.start()
    sweep()
    assert (state(gid), service.cents(), total(service)) == (("committed", True), (90, 0), 200)


def kill_after_prepare(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    cast = runner.cast

    def kill_and_cast(*args: object, **kwargs: object) -> object:
        monkeypatch.undo()
        service.kill()
        return cast(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(runner, "cast", kill_and_cast)


def test_a_frozen_service_holds_nobody_longer_than_its_timeout(service: Service) -> None:
    service.signal(signal.SIGSTOP)
    with called(service.url, timeout=0.3):
        gid = move()
        assert state(gid) == (None, False)
        expire(gid)
        sweep()
    assert state(gid)[0] == "aborted"

    service.signal(
        signal.SIGCONT
    )  # it takes the prepare that waited in its socket, and the cancels
    sweep()
    assert (state(gid), service.cents(), total(service)) == (("aborted", True), (100, 0), 200)


def test_a_lost_answer_is_asked_for_again_and_nothing_happens_twice(service: Service) -> None:
    with LosingProxy(service.port) as proxy:
        url = service.url.replace(str(service.port), str(proxy.port))
        with called(url):
            proxy.lose(1)
            gid = move()
            assert (state(gid), service.states()) == ((None, False), ["prepared"])
            proxy.lose(0)
            sweep()
            assert state(gid) == ("committed", True)
            proxy.lose(1)
            http.close_idle()
            with suppress(OutcomeUnknown):
                move(1)
            sweep()
        http.close_idle()

    assert (service.cents(), total(service)) == ((89, 0), 200)


def test_a_lost_answer_to_the_commit_is_asked_for_again(
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with LosingProxy(service.port) as proxy:
        cast = runner.cast

        def lose_and_cast(*args: object, **kwargs: object) -> object:
            # On the connection that is kept, and on the new one that is tried then.
            proxy.lose(2)
            return cast(*args, **kwargs)  # type: ignore[arg-type]

        with called(service.url.replace(str(service.port), str(proxy.port))):
            with monkeypatch.context() as patch:
                patch.setattr(runner, "cast", lose_and_cast)
                gid = move()
            assert (state(gid), service.states()) == (("committed", False), ["committed"])
            sweep()
        http.close_idle()

    assert (state(gid), service.cents(), total(service)) == (("committed", True), (90, 0), 200)


# The contract


def test_a_prepare_that_comes_after_the_cancel_is_refused(service: Service) -> None:
    assert finish(work(GID), Outcome.ABORTED).actual is Actual.ABORTED
    late = prepare(work(GID))

    assert (late.vote, late.actual, service.cents()) == (Vote.NO, None, (100, 0))


def test_each_step_that_comes_twice_is_done_once(service: Service) -> None:
    assert {prepare(work(GID)).vote for _ in range(2)} == {Vote.YES}
    assert service.cents() == (90, 10)
    assert {finish(work(GID), Outcome.COMMITTED).actual for _ in range(2)} == {Actual.COMMITTED}
    assert service.cents() == (90, 0)


def test_what_a_service_ended_otherwise_is_a_heuristic(service: Service) -> None:
    other = GID[:-1] + "2"
    prepare(work(GID))
    finish(work(GID), Outcome.COMMITTED)
    cancelled = finish(work(GID), Outcome.ABORTED)
    committed = finish(work(other), Outcome.COMMITTED)

    assert cancelled.actual is Actual.HEURISTIC_COMMIT
    assert committed.actual is Actual.HEURISTIC_ROLLBACK
    assert "it answered commit with 409: it is unknown" in committed.reason


def test_after_the_deadline_it_is_not_asked_but_it_is_cancelled(service: Service) -> None:
    ballot = prepare(work(GID, remaining_ms=0))

    assert (ballot.vote, ballot.actual, service.states()) == (Vote.NO, None, [])


def test_a_name_that_no_process_can_call_is_named(service: Service) -> None:
    with pytest.raises(UnknownParticipant, match="HTTP_PARTICIPANTS"):
        distributed_transaction("x").enlist("nowhere.add")


def test_a_worker_without_the_route_votes_no_and_leaves_the_cancel_to_one_that_has_it(
    service: Service,
) -> None:
    service.signal(signal.SIGSTOP)
    with called(service.url, timeout=0.2):
        gid = move()
    with override_settings(COORDINATION=django_settings.COORDINATION | {"HTTP_PARTICIPANTS": {}}):
        sweep()
        assert state(gid) == ("aborted", False)
    service.signal(signal.SIGCONT)
    sweep()
    assert (state(gid), service.cents()) == (("aborted", True), (100, 0))


def test_the_history_tells_why_a_prepare_waits_and_when_it_is_asked_again(
    service: Service,
) -> None:
    service.kill()
    gid = move()
    told = Event.objects.get(name=gid, kind="branch.delayed").data
    service.start()

    assert (told["seq"], told["phase"]) == (1, "prepare")
    assert "Connection refused" in told["error"]
    assert told["retry_in_ms"] > 0
