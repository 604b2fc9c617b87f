"""The pages: who may see and do what, what they refuse, and that names are only ever text."""

import re
from http import HTTPStatus

import pytest
from django.contrib.auth.models import User
from django.db.models.functions import Now
from django.test import Client
from django.urls import reverse

from coordination.observing.records import Verdict, Violation
from coordination.transactions.records import TransactionRecord
from coordination.transactions.tables import Branch, Transaction
from dashboard import panels
from tests.integration.dashboard_stories import Story, heuristic, in_doubt, many, observe
from tests.integration.dashboard_web import make_user, operator, viewer

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"])

REASON = "the gateway is gone, ticket 3390"
XSS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "';alert(1)//",
    "</script><svg onload=alert(1)>",
    "javascript:alert(1)",
    "{{7*7}}${7*7}",
)


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def pages(gid: str) -> dict[str, str]:
    return {
        "overview": reverse("dashboard:overview"),
        "transactions": reverse("dashboard:transactions"),
        "transaction": reverse("dashboard:transaction", args=[gid]),
        "transaction-events": reverse("dashboard:transaction-events", args=[gid]),
        "verdict": reverse("dashboard:verdict", args=["atomicity"]),
    }


def actions(gid: str) -> dict[str, str]:
    return {
        "retry": reverse("dashboard:transaction-retry", args=[gid]),
        "resolve": reverse("dashboard:transaction-resolve", args=[gid]),
        "retry all": reverse("dashboard:transaction-retry-all", args=[gid]),
        "heuristic": reverse("dashboard:transaction-acknowledge", args=[gid]),
        "acknowledge": reverse("dashboard:verdict-acknowledge", args=["atomicity"]),
    }


def test_every_page_asks_strangers_to_sign_in_and_others_for_the_permission() -> None:
    story = Story().committed()
    observe(story)
    stranger, nobody, someone = Client(), client_of(make_user("nobody")), client_of(viewer())
    for name, address in pages(story.gid).items():
        sent = stranger.get(address)
        assert sent.status_code == HTTPStatus.FOUND, name
        assert sent["Location"].startswith("/login/?next="), name
        assert nobody.get(address).status_code == HTTPStatus.FORBIDDEN, name
        seen = someone.get(address)
        assert seen.status_code == HTTPStatus.OK, name
        assert "no-store" in seen["Cache-Control"], name


def test_no_action_without_post_permission_or_csrf() -> None:
    story = in_doubt()
    observe(story)
    someone = client_of(viewer())
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(operator())
    for name, address in actions(story.gid).items():
        assert Client().post(address).status_code == HTTPStatus.FOUND, name
        assert someone.get(address).status_code == HTTPStatus.METHOD_NOT_ALLOWED, name
        assert someone.post(address, {"reason": REASON}).status_code == HTTPStatus.FORBIDDEN, name
        assert strict.post(address, {"reason": REASON}).status_code == HTTPStatus.FORBIDDEN, name


def test_logout_needs_post() -> None:
    client = client_of(viewer())
    assert client.get(reverse("dashboard:logout")).status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert client.post(reverse("dashboard:logout"))["Location"] == "/login/"
    assert client.get("/").status_code == HTTPStatus.FOUND


def test_unknown_things_are_404() -> None:
    client = client_of(viewer())
    for address in ("/transactions/bank-0-0/", "/verdicts/luck/", "/nowhere/"):
        assert client.get(address).status_code == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("query", ["stat:x", '"open', "age:never", "x" * 600, "a " * 40])
def test_an_invalid_filter_keeps_the_page_and_offers_a_way_out(query: str) -> None:
    answer = client_of(viewer()).get("/transactions/", {"q": query})
    text = answer.content.decode()

    assert answer.status_code == HTTPStatus.OK
    assert "filter-error" in text
    assert "Clear the filter" in text


def test_an_added_term_joins_the_filter_in_the_address() -> None:
    answer = client_of(viewer()).get("/transactions/", {"q": "name:bank.*", "add": "age:>30s"})
    assert answer["Location"] == "/transactions/?q=name%3Abank.%2A+age%3A%3E30s"


@pytest.mark.parametrize("cursor", ["x", "o.1", "u.99999999999999999999.a", "o.1.<script>"])
def test_a_broken_cursor_shows_the_first_page(cursor: str) -> None:
    observe(Story().committed())
    answer = client_of(viewer()).get("/transactions/", {"older": cursor})
    assert answer.context["live"] is True


def test_a_long_list_is_cut_into_pages() -> None:
    observe(*many(60))
    first = client_of(viewer()).get("/transactions/")
    assert len(first.context["rows"]) == 50
    second = client_of(viewer("eva")).get(first.context["older"])
    assert len(second.context["rows"]) == 10
    assert second.context["live"] is False


def test_a_resolve_button_is_shown_disabled_with_its_reason() -> None:
    undecided, decided = in_doubt(), Story().voted(1).voted(2).decided("committed")
    observe(undecided, decided)
    for user, story, reason in (
        (viewer(), undecided, "You need the permission coordination.resolve_transaction"),
        (operator(), decided, "Already decided: nothing to resolve"),
    ):
        text = client_of(user).get(f"/transactions/{story.gid}/").content.decode()
        assert f'data-open="resolve" disabled title="{reason}"' in text
        assert '<dialog class="dlg" id="resolve"' not in text


def begin_undecided() -> str:
    """A real transaction that nobody will vote on."""
    from coordination import distributed_transaction

    tx = distributed_transaction("held", deadline=60, wait=False)
    tx.enlist("bank.a.deposit", account=1, cents=5)
    tx.enlist("bank.b.deposit", account=2, cents=5)
    tx.submit()
    observe()
    assert tx.gid is not None
    return tx.gid


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"confirm": "wrong!"}, "to confirm"),
        ({"reason": "short"}, "10 to 500 characters"),
        ({"outcome": "both"}, "Choose commit or abort"),
        ({"outcome": "committed"}, "cannot be committed"),
    ],
)
def test_a_resolution_that_lacks_something_changes_nothing(
    change: dict[str, str], said: str
) -> None:
    gid = begin_undecided()
    client = client_of(operator())
    form = {"outcome": "aborted", "confirm": gid[-6:], "reason": REASON} | change
    answer = client.post(f"/transactions/{gid}/resolve", form, follow=True)
    observe()

    assert said in answer.content.decode()
    assert TransactionRecord.objects.get(gid=gid).outcome is None


def test_an_operator_aborts_a_transaction_once_and_is_recorded() -> None:
    gid = begin_undecided()
    client = client_of(operator())
    form = {"outcome": "aborted", "confirm": gid[-6:], "reason": REASON}
    answer = client.post(f"/transactions/{gid}/resolve", form, follow=True)
    client.post(f"/transactions/{gid}/resolve", form)
    observe()
    overview = client.get("/").content.decode()

    assert "Resolved: aborted." in answer.content.decode()
    assert TransactionRecord.objects.get(gid=gid).outcome == "aborted"
    assert "otto" in overview
    assert REASON in overview


def test_retry_sends_again_and_is_recorded() -> None:
    gid = begin_undecided()
    answer = client_of(operator()).post(f"/transactions/{gid}/retry", follow=True)
    assert "Sent again." in answer.content.decode()


def test_what_is_stuck_is_explained_and_all_that_waits_is_sent_again() -> None:
    gid = begin_undecided()
    Transaction.objects.filter(gid=gid).update(deadline_at="2020-01-01T00:00Z")
    shown = client_of(viewer()).get(f"/transactions/{gid}/").content.decode()
    assert "its deadline has passed" in shown
    assert "Retry all that waits" not in shown

    client = client_of(operator())
    assert "Retry all that waits" in client.get(f"/transactions/{gid}/").content.decode()
    answer = client.post(f"/transactions/{gid}/retry-all", follow=True)
    assert "Sent again: 1." in answer.content.decode()


def test_a_heuristic_outcome_is_acknowledged_from_its_page() -> None:
    gid = begin_undecided()
    Transaction.objects.filter(gid=gid).update(outcome="aborted", ended_at=Now(), heuristic="mixed")
    Branch.objects.filter(transaction=gid).update(actual="heuristic_commit")
    TransactionRecord.objects.filter(gid=gid).update(ended_at=Now(), heuristic="mixed")
    client = client_of(operator())
    assert "to be acknowledged" in client.get(f"/transactions/{gid}/").content.decode()

    short = client.post(f"/transactions/{gid}/acknowledge", {"reason": "ok"}, follow=True)
    assert "10 to 500 characters" in short.content.decode()
    answer = client.post(f"/transactions/{gid}/acknowledge", {"reason": REASON}, follow=True)
    assert "Acknowledged: 2." in answer.content.decode()
    assert "to be acknowledged" not in answer.content.decode()


def broken(gid: str, **fields: object) -> Violation:
    Verdict.objects.update_or_create(
        name="atomicity",
        defaults={"state": "VIOLATED", "checked": 9, "violations": 1, "period_s": 1.0},
    )
    return Violation.objects.create(
        verdict="atomicity",
        gid=gid,
        branch_seq=2,
        kind="missing_witness",
        sentence="bank.b.deposit on bank_b committed and left no witness",
        evidence={"database": "bank_b", "witness": None},
        **fields,
    )


def test_a_violation_stays_red_with_its_evidence_until_it_is_acknowledged() -> None:
    story = heuristic()
    observe(story)
    violation = broken(story.gid)
    client = client_of(operator())
    shown = client.get("/verdicts/atomicity/").content.decode()
    short = client.post(
        "/verdicts/atomicity/acknowledge", {"violations": violation.pk, "reason": "ok"}, follow=True
    )
    assert violation.sentence in shown
    assert "bank_b" in shown
    assert "VIOLATED" in client.get("/").content.decode()
    assert "10 to 500 characters" in short.content.decode()

    client.post("/verdicts/atomicity/acknowledge", {"violations": violation.pk, "reason": REASON})
    violation.refresh_from_db()
    assert violation.acknowledged_by == "otto"
    assert violation.acknowledged_reason == REASON


def test_no_verdict_and_a_late_verdict_are_not_green() -> None:
    client = client_of(viewer())
    assert "UNPROVEN" in client.get("/").content.decode()
    Verdict.objects.create(
        name="atomicity",
        state="HOLDS",
        checked=5,
        period_s=1.0,
        checked_at="2026-01-01T00:00:00Z",
    )
    late = client.get("/verdicts/atomicity/").content.decode()
    assert "The auditor has been silent" in late
    assert 'data-s="unknown"' in late


@pytest.mark.parametrize("name", XSS)
def test_names_are_text(name: str) -> None:
    story = Story((name, "bank_a"), name=name, key=name, args={"note": name}).refused(name)
    observe(story)
    broken(story.gid, acknowledged_reason=name)
    client = client_of(operator())
    panels.register("xss", name, lambda: [{"label": name, "value": name, "state": name}])
    try:
        for address in (*pages(story.gid).values(), f"/transactions/?q={name}"):
            answer = client.get(address)
            if "html" not in answer["Content-Type"]:
                continue
            assert not re.search(r"<(?:script>alert|img src=x|svg onload)", answer.content.decode())
    finally:
        panels.unregister("xss")


def test_the_policy_forbids_everything_inline_but_the_import_map() -> None:
    answer = client_of(viewer()).get("/")
    policy, text = answer["Content-Security-Policy"], answer.content.decode()
    nonce = re.search(r"'nonce-([^']+)'", policy)

    assert nonce is not None
    assert "unsafe" not in policy
    assert f'<script type="importmap" nonce="{nonce[1]}">' in text
    assert not re.search(
        r"\s(?:style|on[a-z]+)=", re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    )


def test_a_panel_that_fails_shows_unknown_and_breaks_nothing() -> None:
    def fail() -> list[dict[str, str]]:
        raise RuntimeError("no")

    panels.register("fails", "Broken panel", fail)
    try:
        assert client_of(viewer()).get("/").status_code == HTTPStatus.OK
        assert [panel.rows[0].value for panel in panels.read() if panel.key == "fails"] == [
            "unknown"
        ]
    finally:
        panels.unregister("fails")
