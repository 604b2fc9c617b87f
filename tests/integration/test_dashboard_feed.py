"""The live feed: what sockets are told, in which order, and how they find back after a loss."""

import os
import signal
import socket as sockets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from config.servers import Servers
from coordination import conf, registry
from coordination.observing.feed import epoch_key, stream_key
from dashboard.limits import PAGE_ROWS
from tests.integration import dashboard_web
from tests.integration.dashboard_socket import Frame, Tab, tab
from tests.integration.dashboard_stories import Story, applying, in_doubt, many, observe
from tests.integration.dashboard_web import Web, session_of, viewer

web, settled = dashboard_web.web, dashboard_web.settled

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"]),
    pytest.mark.usefixtures("settled"),
]


@pytest.fixture
def session(transactional_db: None) -> str:
    return session_of(viewer())


@pytest.fixture
def redis_pid(servers: Servers) -> Iterator[int]:
    """The Redis process; whatever the test did to it, it runs again afterwards."""
    pid = servers.pid("redis")
    yield pid
    os.kill(pid, signal.SIGCONT)


class Table:
    """What a page keeps of a list: applies snapshots and deltas exactly as the script does."""

    def __init__(self, client: Tab, *, topic: str = "transactions", **options: Any) -> None:
        self.client, self.topic = client, topic
        self.rows: dict[str, Frame] = {}
        self.seq = self.n = -1
        client.say(t="sub", topic=topic, **options)
        self.step("snap")

    def step(self, *kinds: str, within_s: float = 10) -> Frame:
        frame = self.client.next(*(kinds or ("snap", "d")), topic=self.topic, within_s=within_s)
        if frame["t"] == "snap":
            self.rows = {row["gid"]: row for row in frame.get("rows", ())}
        else:
            assert (frame["from"], frame["n"]) == (self.seq, self.n + 1)
            self.rows |= {row["gid"]: row for row in frame["up"]}
            for gid in frame["del"]:
                self.rows.pop(gid)
        self.seq, self.n = frame["seq"], frame["n"]
        return frame

    def until(self, holds: Any, *, within_s: float = 10) -> None:
        end = time.monotonic() + within_s
        while not holds(self):
            self.step(within_s=end - time.monotonic())


def test_a_list_starts_with_a_snapshot_and_goes_on_with_deltas(web: Web, session: str) -> None:
    first, second = Story().committed(), Story()
    observe(first)
    with tab(web, session) as client:
        table = Table(client, filter="")
        assert set(table.rows) == {first.gid}

        observe(second)
        table.until(lambda t: second.gid in t.rows)
        assert table.rows[second.gid]["state"] == "voting"
        assert table.rows[second.gid]["marks"] == "bb||--"

        observe(second.committed())
        table.until(lambda t: t.rows[second.gid]["state"] == "committed")
        assert table.rows[second.gid]["marks"] == "yy|c|cc"


def test_rows_enter_and_leave_a_filtered_list(web: Web, session: str) -> None:
    open_one, other = Story(name="bank.balance"), Story(name="shop.order")
    with tab(web, session) as client:
        table = Table(client, filter="name:bank.* -state:committed,aborted")
        observe(open_one, other)
        table.until(lambda t: set(t.rows) == {open_one.gid})

        observe(open_one.committed())
        table.until(lambda t: not t.rows)


def test_time_alone_brings_a_prepared_transaction_into_doubt(web: Web, session: str) -> None:
    with tab(web, session) as client:
        table = Table(client, filter="state:in_doubt")
        story = Story(ago_s=0).voted(1, after_ms=0)
        observe(story)
        table.until(lambda t: story.gid in t.rows, within_s=5)

        observe(story.voted(2).decided("committed"))
        table.until(lambda t: story.gid not in t.rows)


def test_after_any_churn_a_list_equals_a_fresh_snapshot(web: Web, session: str) -> None:
    observe(*many(PAGE_ROWS + 20))
    unfinished = [Story(ago_s=5) for _ in range(30)]
    with tab(web, session) as client, tab(web, session) as fresh:
        table = Table(client, filter="outcome:none,committed")
        observe(*unfinished)
        observe(*(story.committed() for story in unfinished[:20]))
        observe(*(story.refused() for story in unfinished[20:]), *many(10, ago_s=2))
        last = Story(ago_s=0)
        observe(last)
        table.until(lambda t: last.gid in t.rows)
        while True:
            try:
                table.step(within_s=2)
            except TimeoutError:
                break
        compared = Table(fresh, filter="outcome:none,committed")

        assert table.rows == compared.rows
        assert len(table.rows) == PAGE_ROWS


def test_a_transaction_is_told_event_by_event_and_none_twice(web: Web, session: str) -> None:
    story = in_doubt()
    observe(story)
    with tab(web, session) as client:
        topic = f"transaction:{story.gid}"
        client.say(t="sub", topic=topic)
        snapshot = client.next("snap", topic=topic)
        observe(story.voted(2))
        observe(story.decided("committed").finished(1, "committed").finished(2, "committed"))
        observe(story.ended("committed"))
        versions = [event["v"] for event in snapshot["ev"]]
        while versions[-1] < 7:
            versions += [event["v"] for event in client.next("d", topic=topic)["ev"]]

        assert versions == [1, 2, 3, 4, 5, 6, 7]
        assert snapshot["rows"][0]["waits"]
        assert snapshot["ev"][0]["data"]["branches"][0]["args"] == {"account": 7, "cents": 1_250}


def test_the_overview_tells_figures_and_the_latest_events(web: Web, session: str) -> None:
    doubtful, failing = in_doubt(), applying()
    observe(doubtful, failing)
    with tab(web, session) as client:
        client.say(t="sub", topic="overview")
        board = client.next("snap", topic="overview")["agg"]

    assert board["doubt"]["count"] == 1
    assert [(item["kind"], item["gid"]) for item in board["attention"]] == [
        ("in_doubt", doubtful.gid),
        ("stuck", failing.gid),
    ]
    assert len(board["rates"]) == 60
    assert {panel["key"] for panel in board["panels"]} >= {"bank-total"}


def lose_the_stream() -> None:
    mailbox = conf.current().transactions.mailbox
    assert mailbox is not None
    node = conf.current().node
    registry.redis_store(mailbox).call("DEL", stream_key(node), epoch_key(node))


def test_a_lost_stream_makes_a_new_epoch_and_sockets_start_over(web: Web, session: str) -> None:
    first = Story().committed()
    observe(first)
    with tab(web, session) as client:
        table = Table(client, filter="")
        epoch = client.frames[-1]["epoch"]
        lose_the_stream()
        second = Story().committed()
        observe(second)
        table.until(lambda t: second.gid in t.rows, within_s=15)
        table.client.say(t="resync", topic="transactions")
        again = table.step("snap")

        assert again["epoch"] != epoch
        assert {again["rows"][i]["gid"] for i in range(2)} == {first.gid, second.gid}


def test_without_redis_the_list_goes_on_from_the_records(
    web: Web,
    session: str,
    redis_pid: int,
) -> None:
    with tab(web, session) as client:
        table = Table(client, filter="")
        os.kill(redis_pid, signal.SIGSTOP)
        story = Story().committed()
        observe(story)
        table.until(lambda t: story.gid in t.rows, within_s=20)
        os.kill(redis_pid, signal.SIGCONT)
        later = Story().committed()
        observe(later)
        table.until(lambda t: later.gid in t.rows, within_s=20)


def test_a_reader_that_never_reads_is_closed_and_others_are_not_slowed(
    web: Web,
    session: str,
) -> None:
    with ExitStack() as cleanup:
        deaf = sockets.create_connection(("127.0.0.1", web.port))
        cleanup.callback(deaf.close)
        deaf.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4_096)
        client = cleanup.enter_context(tab(web, session))
        table = Table(client, filter="")
        _shake_hands(deaf, web, session)
        story = Story()
        for _ in range(20):
            observe(*many(40, ago_s=1))
        observe(story)
        table.until(lambda t: story.gid in t.rows)


def _shake_hands(deaf: sockets.socket, web: Web, session: str) -> None:
    """Open a WebSocket, subscribe, and never read again."""
    deaf.sendall(
        (
            "GET /ws/feed HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nOrigin: {web.origin}\r\n"
            f"Cookie: sessionid={session}\r\n\r\n"
        ).encode()
    )
    assert deaf.recv(12) == b"HTTP/1.1 101"
    payload = b'{"t":"sub","topic":"transactions","filter":""}'
    deaf.sendall(bytes([0x81, 0x80 | len(payload)]) + b"\0\0\0\0" + payload)
