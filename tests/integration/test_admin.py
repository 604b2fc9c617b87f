"""Django's admin: rows can be read, and acted on only through the register, with a reason."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from coordination import distributed_transaction
from coordination.observing.tables import Event
from coordination.transactions.tables import Branch, Transaction
from tests.integration import ledger

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"])
LIST = "admin:coordination_transaction_changelist"
REASON = "the caller died and will not come back"


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    with ledger.ledgers():
        yield


@pytest.fixture
def undecided(settings: object) -> Transaction:
    """A transaction whose branches are asked of workers that are not there."""
    tx = distributed_transaction("stuck", deadline=600, wait=False)
    tx.enlist("bank.a.deposit", account=2, cents=1)
    tx.enlist("bank.b.deposit", account=1, cents=1)
    tx.submit()
    return Transaction.objects.get(gid=tx.gid)


def operator(*codenames: str) -> Client:
    user = User.objects.create_user("op", password="pw", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


def act(client: Client, action: str, row: Transaction, **fields: str) -> object:
    data = {"action": action, "_selected_action": row.gid, **fields}
    return client.post(reverse(LIST), data, follow=True)


def test_pages_show_rows_and_offer_no_editing(undecided: Transaction) -> None:
    client = operator("view_transaction", "view_branch")

    page = client.get(reverse("admin:coordination_transaction_change", args=[undecided.gid]))
    add = client.get(reverse("admin:coordination_transaction_add"))
    branches = client.get(reverse("admin:coordination_branch_changelist"))

    assert page.status_code == 200
    assert b"bank.a.deposit" in page.content
    assert b'name="_save"' not in page.content
    assert add.status_code == 403
    assert b"bank.b.deposit" in branches.content


@pytest.mark.parametrize("standing", ["undecided", "unfinished", "ended", "heuristic"])
def test_rows_are_filtered_by_where_they_stand(undecided: Transaction, standing: str) -> None:
    page = operator("view_transaction").get(reverse(LIST), {"standing": standing})

    assert page.status_code == 200
    assert (undecided.gid.encode() in page.content) == (standing == "undecided")


def test_actions_need_the_permission_to_resolve(undecided: Transaction) -> None:
    client = operator("view_transaction")

    act(client, "abort_in_doubt", undecided, confirmed="yes", reason=REASON)

    undecided.refresh_from_db()
    assert undecided.outcome is None


def test_an_action_asks_for_a_reason_before_it_acts(undecided: Transaction) -> None:
    client = operator("view_transaction", "resolve_transaction")

    asked = act(client, "abort_in_doubt", undecided)
    short = act(client, "abort_in_doubt", undecided, confirmed="yes", reason="because")

    undecided.refresh_from_db()
    assert undecided.gid.encode() in asked.content  # type: ignore[attr-defined]
    assert b"at least 10 characters" in short.content  # type: ignore[attr-defined]
    assert undecided.outcome is None


def test_abort_goes_through_the_register_and_is_recorded(undecided: Transaction) -> None:
    client = operator("view_transaction", "resolve_transaction")

    act(client, "abort_in_doubt", undecided, confirmed="yes", reason=REASON)

    undecided.refresh_from_db()
    event = Event.objects.get(name=undecided.gid, kind="transaction.resolved")
    assert (undecided.outcome, undecided.decided_by) == ("aborted", "op")
    assert (event.data["action"], event.data["reason"], event.actor) == ("abort", REASON, "op")


def test_commit_without_every_vote_is_refused_with_its_rule(undecided: Transaction) -> None:
    client = operator("view_transaction", "resolve_transaction")

    page = act(client, "commit_in_doubt", undecided, confirmed="yes", reason=REASON)

    undecided.refresh_from_db()
    assert b"2 votes are missing" in page.content  # type: ignore[attr-defined]
    assert undecided.outcome is None


def test_a_decision_made_meanwhile_is_kept_and_told() -> None:
    with distributed_transaction("move") as tx:
        tx.enlist("test.a.add", cents=-1)
        tx.enlist("test.b.add", cents=1)
    row = Transaction.objects.get(gid=tx.gid)
    client = operator("view_transaction", "resolve_transaction")

    page = act(client, "abort_in_doubt", row, confirmed="yes", reason=REASON)

    row.refresh_from_db()
    assert row.outcome == "committed"
    assert b"was already committed" in page.content  # type: ignore[attr-defined]


def test_retry_now_makes_every_unfinished_branch_due(undecided: Transaction) -> None:
    Branch.objects.filter(transaction=undecided).update(next_at="2100-01-01T00:00:00Z")
    client = operator("view_transaction", "resolve_transaction")

    act(client, "retry_now", undecided, confirmed="yes", reason=REASON)

    assert not Branch.objects.filter(transaction=undecided, next_at__isnull=False).exists()
    assert Event.objects.filter(name=undecided.gid, kind="branch.sent").count() == 2
