"""The live feed of locks: what sockets are told, in which order, and what time alone changes."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from coordination.locks.records import LockRecord, LockRefusal
from dashboard.limits import PAGE_ROWS
from tests.integration import dashboard_web
from tests.integration.dashboard_locks import (
    Teller,
    again,
    grant,
    held,
    now,
    queued,
    record,
    save,
)
from tests.integration.dashboard_socket import Frame, Tab, tab
from tests.integration.dashboard_stories import Story, observe
from tests.integration.dashboard_web import Web, session_of, viewer

web, settled = dashboard_web.web, dashboard_web.settled

pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"]),
    pytest.mark.usefixtures("settled"),
]


@pytest.fixture
def session(transactional_db: None) -> str:
    return session_of(viewer())


class Kept:
    """What a page keeps of a topic: applies snapshots and deltas exactly as the script does."""

    def __init__(self, client: Tab, topic: str, **options: Any) -> None:
        self.client, self.topic = client, topic
        self.rows: dict[str, Frame] = {}
        self.agg: Frame = {}
        self.seq = self.n = -1
        client.say(t="sub", topic=topic, **options)
        self.step("snap")

    def step(self, *kinds: str, within_s: float = 10) -> Frame:
        frame = self.client.next(*(kinds or ("snap", "d")), topic=self.topic, within_s=within_s)
        if frame["t"] == "snap":
            self.rows = {row["id"]: row for row in frame.get("rows", ())}
        else:
            assert (frame["from"], frame["n"]) == (self.seq, self.n + 1)
            self.rows |= {row["id"]: row for row in frame["up"]}
            for gone in frame["del"]:
                self.rows.pop(gone)
        self.agg |= frame["agg"]
        self.seq, self.n = frame["seq"], frame["n"]
        return frame

    def until(self, holds: Callable[["Kept"], bool], *, within_s: float = 10) -> None:
        end = time.monotonic() + within_s
        while not holds(self):
            self.step(within_s=max(0.01, end - time.monotonic()))

    @property
    def names(self) -> set[str]:
        return {row["name"] for row in self.rows.values()}


def test_a_list_starts_with_a_snapshot_and_goes_on_with_deltas(web: Web, session: str) -> None:
    teller = Teller()
    first = record("a", holders=[held("x", 7)])
    teller.tell(first)
    with tab(web, session) as client:
        kept = Kept(client, "locks", filter="")
        assert kept.names == {"a"}
        teller.tell(record("b", holders=[held("y", 9_007_199_254_740_993)]))
        kept.until(lambda k: "b" in k.names)
        assert kept.rows["redis lock b"]["token"] == "9007199254740993"
        teller.tell(again(first, waiters=[queued("z")], waiting=1))
        kept.until(lambda k: k.rows["redis lock a"]["waiting"] == 1)
        assert kept.rows["redis lock a"]["next"] == "z"
        kept.until(lambda k: k.agg.get("counts", {}).get("queued") == 1)


def test_rows_enter_and_leave_a_filtered_list(web: Web, session: str) -> None:
    teller = Teller()
    with tab(web, session) as client:
        kept = Kept(client, "locks", filter="name:order:* queue:>0")
        made = record("order:1", holders=[held("x", 7)], waiters=[queued("z")])
        teller.tell(made, record("stock:1", holders=[held("x", 8)], waiters=[queued("z")]))
        kept.until(lambda k: k.names == {"order:1"})
        teller.tell(again(made, waiters=[], waiting=0))
        kept.until(lambda k: not k.rows)


def test_time_alone_ends_a_lease(web: Web, session: str) -> None:
    teller = Teller()
    with tab(web, session) as client:
        kept = Kept(client, "locks", filter="state:ran_out")
        teller.tell(record("short", holders=[held("x", 7, ago_s=1, left_s=2)]))
        kept.until(lambda k: k.names == {"short"})


def test_a_dispute_that_no_event_tells_of_comes_with_the_next_reading(
    web: Web, session: str
) -> None:
    Teller().tell(record("a", holders=[held("x", 7)]))
    with tab(web, session) as client:
        kept = Kept(client, "locks", filter="")
        LockRecord.objects.update(disputed="two held it at once")
        kept.until(lambda k: bool(k.rows["redis lock a"]["disputed"]), within_s=20)


def test_after_any_churn_a_list_equals_a_fresh_snapshot(web: Web, session: str) -> None:
    teller = Teller()
    save(*(record(f"n:{i:03}") for i in range(PAGE_ROWS + 30)))
    with tab(web, session) as client, tab(web, session) as other:
        kept = Kept(client, "locks", filter="")
        for version in range(2, 6):
            teller.tell(
                *(
                    record(
                        f"n:{i:03}",
                        version=version,
                        holders=[held("x", version * 1_000 + i)],
                        waiters=[queued("w")] * ((i * version) % 4),
                    )
                    for i in range(0, PAGE_ROWS + 30, version)
                )
            )
        teller.tell(record("zz", disputed="look"))
        kept.until(lambda k: "zz" in k.names)
        while True:
            try:
                kept.step(within_s=2)
            except TimeoutError:
                break
        fresh = Kept(other, "locks", filter="")
        assert kept.rows == fresh.rows
        assert len(kept.rows) == PAGE_ROWS


def test_transactions_and_locks_share_one_feed_and_one_socket(web: Web, session: str) -> None:
    story = Story()
    observe(story)
    teller = Teller()
    with tab(web, session) as client:
        client.say(t="sub", topic="overview")
        client.say(t="sub", topic="transactions", filter="")
        kept = Kept(client, "locks", filter="")
        teller.tell(record("a", holders=[held("x", 7)]))
        kept.until(lambda k: k.names == {"a"})
        observe(story.committed())
        frame = client.next("d", topic="transactions")
        while not any(row["state"] == "committed" for row in frame["up"]):
            frame = client.next("d", topic="transactions")


def test_a_lock_is_told_with_its_grants_and_refusals(web: Web, session: str) -> None:
    teller = Teller()
    made = record("order:7", holders=[held("x", 7, metadata={"job": 3})])
    teller.tell(made)
    with tab(web, session) as client:
        kept = Kept(client, "lock:redis lock order:7")
        assert kept.rows[made.key]["holders"][0]["metadata"] == {"job": 3}
        assert kept.agg["grants"] == []
        grant(made, 7, "x", ago_s=3)
        teller.tell(again(made, waiters=[queued("z")], waiting=1))
        kept.until(lambda k: bool(k.rows[made.key]["waiters"]))
        kept.until(lambda k: bool(k.agg["grants"]))
        assert kept.agg["grants"][0]["token"] == "7"
        LockRefusal.objects.create(key=made.key, at=now(), what="shop.Order 7", token=5, newer=7)
        kept.until(lambda k: bool(k.agg["refusals"]), within_s=15)
        assert kept.agg["refusals"][0]["verb"] == "write"


def test_a_lock_nobody_has_seen_yet_appears_once_it_is_told_of(web: Web, session: str) -> None:
    teller = Teller()
    with tab(web, session) as client:
        kept = Kept(client, "lock:redis lock later")
        assert not kept.rows
        teller.tell(record("later", holders=[held("x", 7)]))
        kept.until(lambda k: bool(k.rows))


def test_waits_are_told_whole_when_they_change(web: Web, session: str) -> None:
    teller = Teller()
    with tab(web, session) as client:
        kept = Kept(client, "waits")
        assert kept.agg["edges"] == []
        teller.tell(
            record("k", holders=[held("a", 1)], waiters=[queued("b")]),
            record("l", holders=[held("b", 2)], waiters=[queued("a")]),
        )
        kept.until(lambda k: len(k.agg["cycles"]) == 1)
        assert {edge["waiter_owner"] for edge in kept.agg["edges"]} == {"a", "b"}
        beat = client.next("hb")
        while beat["rail"]["deadlocks"] != 1:
            beat = client.next("hb", within_s=15)


@pytest.mark.parametrize(
    "topic",
    [
        "lock:",
        "lock:redis",
        "lock:redis lock",
        "lock:a b c d",
        "lock:r LOCK x",
        "lock:r lock \u0007",
    ],
)
def test_a_bad_topic_closes_the_socket(web: Web, session: str, topic: str) -> None:
    with tab(web, session) as client:
        client.next("hello")
        client.say(t="sub", topic=topic)
        assert client.closed() == 4400


def test_a_filter_of_the_other_list_is_answered_and_the_socket_stays(
    web: Web, session: str
) -> None:
    with tab(web, session) as client:
        client.next("hello")
        client.say(t="sub", topic="locks", filter="protocol:2pc")
        assert "protocol" in client.next("err")["message"]
        assert Kept(client, "locks", filter="kind:lock").rows == {}


def test_a_row_that_cannot_be_read_does_not_stop_what_comes_behind_it(
    web: Web, session: str
) -> None:
    teller = Teller()
    with tab(web, session) as client:
        kept = Kept(client, "locks", filter="")
        odd = record("odd", holders=[held("x", 6)])
        odd.holders[0]["token"] = "none at all"
        teller.tell(odd)
        LockRecord.objects.filter(name="odd").delete()
        teller.tell(record("next", holders=[held("x", 7)]))
        kept.until(lambda k: "next" in k.names)
