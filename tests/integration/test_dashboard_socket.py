"""The socket: who may open it, how long, and what a client may say."""

import json
import time
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from websockets.exceptions import InvalidStatus

from dashboard.limits import FRAMES_PER_SECOND, SOCKETS_PER_USER
from tests.integration import dashboard_web
from tests.integration.dashboard_socket import tab
from tests.integration.dashboard_web import Web, make_user, session_of, viewer

web, settled = dashboard_web.web, dashboard_web.settled

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"]),
    pytest.mark.usefixtures("settled"),
]

NOTICED_S = 1.0
"""A lost right closes the socket within this; the test adds the round trips around it."""


@pytest.fixture(autouse=True)
def _quiet_log(web: Web) -> Iterator[None]:
    """No test of this module may leave a traceback behind."""
    before = web.log.stat().st_size
    yield
    said = web.log.read_bytes()[before:].decode()
    assert "Traceback" not in said, said


@pytest.mark.parametrize(
    "origin",
    ["http://127.0.0.1", "https://127.0.0.1:{port}", "http://localhost.evil:{port}", "null"],
)
def test_a_socket_from_another_origin_is_refused_port_and_scheme_included(
    web: Web,
    origin: str,
) -> None:
    session = session_of(viewer())
    with (
        pytest.raises(InvalidStatus) as refused,
        tab(web, session, origin=origin.format(port=web.port)),
    ):
        pass

    assert refused.value.response.status_code == 403


def test_a_stranger_is_closed_with_4401(web: Web) -> None:
    with tab(web) as stranger:
        assert stranger.closed() == 4401


def test_a_user_without_the_permission_is_closed_with_4403(web: Web) -> None:
    with tab(web, session_of(make_user("nobody"))) as nobody:
        assert nobody.closed() == 4403


@pytest.mark.parametrize("path", ["/ws/nowhere", "/", "/ws/feed/more"])
def test_an_unknown_path_is_closed_with_4404(web: Web, path: str) -> None:
    with tab(web, session_of(viewer()), path=path) as lost:
        assert lost.closed() == 4404


def log_out(user: User) -> None:
    Session.objects.all().delete()


def change_password(user: User) -> None:
    user.set_password("another-9")
    user.save()


def deactivate(user: User) -> None:
    user.is_active = False
    user.save()


def lose_permission(user: User) -> None:
    user.user_permissions.clear()


@pytest.mark.parametrize(
    ("lose", "code"),
    [(log_out, 4401), (change_password, 4401), (deactivate, 4401), (lose_permission, 4403)],
)
def test_a_login_that_ends_closes_its_sockets_within_a_second(
    web: Web,
    lose,
    code: int,
) -> None:
    user = viewer()
    with tab(web, session_of(user)) as mine:
        mine.next("hello")
        mine.next("hb")
        lost_at = time.monotonic()
        lose(user)

        assert mine.closed(within_s=3) == code
        assert time.monotonic() - lost_at < NOTICED_S + 0.5


@pytest.mark.parametrize(
    ("frame", "codes"),
    [
        (b"\x00\x01", {1003}),
        ("{not json", {1007}),
        ("[" * 20_000, {1007}),
        ("[1, 2]", {4400}),
        ('{"t": "shout"}', {4400}),
        ('{"t": "sub"}', {4400}),
        ('{"t": "sub", "topic": 7}', {4400}),
        ('{"t": "sub", "topic": "transaction:../../etc"}', {4400}),
        ('{"t": "sub", "topic": "transactions", "filter": {"$gt": ""}}', {4400}),
        (json.dumps({"t": "sub", "topic": "transactions", "filter": "x" * 70_000}), {1009, 4400}),
    ],
    ids=["binary", "no-json", "deep", "list", "verb", "no-topic", "number", "path", "dict", "big"],
)
def test_a_bad_frame_closes_with_the_code_of_its_mistake(
    web: Web,
    frame: bytes | str,
    codes: set[int],
) -> None:
    with tab(web, session_of(viewer())) as mine:
        mine.next("hello")
        mine.connection.send(frame)

        assert mine.closed() in codes


def test_too_many_frames_close_with_4429(web: Web) -> None:
    with tab(web, session_of(viewer())) as mine:
        mine.next("hello")
        for _ in range(FRAMES_PER_SECOND + 5):
            mine.say(t="focus", topic="overview")

        assert mine.closed() == 4429


def test_a_user_has_ten_sockets_and_the_next_is_closed(web: Web) -> None:
    from contextlib import ExitStack

    session = session_of(viewer())
    with ExitStack() as open_tabs:
        for _ in range(SOCKETS_PER_USER):
            open_tabs.enter_context(tab(web, session)).next("hello")
        one_more = open_tabs.enter_context(tab(web, session))

        assert one_more.closed() == 4429


@pytest.mark.parametrize("text", ["sta:voting", 'name:"x', "age:old", "\x00", "\ud800x"])
def test_a_filter_that_cannot_be_read_is_answered_and_the_socket_stays(
    web: Web,
    text: str,
) -> None:
    with tab(web, session_of(viewer())) as mine:
        mine.next("hello")
        mine.connection.send(json.dumps({"t": "sub", "topic": "transactions", "filter": text}))
        answer = mine.next("err")
        mine.say(t="sub", topic="transactions", filter="")

        assert answer["topic"] == "transactions"
        assert answer["message"]
        assert mine.next("snap")["rows"] == []


def test_hello_says_what_the_user_may_do(web: Web) -> None:
    with tab(web, session_of(viewer())) as mine:
        hello = mine.next("hello")

    assert hello["perms"] == dict.fromkeys(
        ("resolve", "ask", "force", "adjust", "reset", "pause", "purge"), False
    )
    assert abs(hello["server_time"] - time.time() * 1000) < 60_000
